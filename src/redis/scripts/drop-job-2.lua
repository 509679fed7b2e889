-- Removes an active job that is damaged, so that nobody takes it again, and another one may come under its id.
-- KEYS: 1 the list of active jobs, 2 the job
-- ARGV: 1 id of the job, 2 its deduplication id, or nothing
-- Returns: how often it stood in the list
redis.call('DEL', KEYS[2], KEYS[2] .. ':lock')
if ARGV[2] ~= '' then
  redis.call('DEL', string.sub(KEYS[2], 1, -1 - #ARGV[1]) .. 'de:' .. ARGV[2])
end
return redis.call('LREM', KEYS[1], 0, ARGV[1])
