-- Tells which server holds a key, and which history of writes it is in.
-- KEYS: 1 a key that is there: while its slot moves to another server, the one that has it answers
-- ARGV: none
-- Returns: the run id, which is another after each start; the replication id, which is another after each promotion
local function field(section, name)
  return string.match(redis.call('INFO', section), '\n' .. name .. ':([^\r\n]*)') or ''
end
return {field('server', 'run_id'), field('replication', 'master_replid')}
