-- Looks at the memory of the server that owns a queue, and at how much waits there.
-- KEYS: 1 the list of waiting jobs
-- ARGV: none
-- Returns: bytes used, as far as they count for the limit; the limit, 0 where there is none; the policy of eviction; jobs that wait
local memory = redis.call('INFO', 'memory')
local function number(field)
  return tonumber(string.match(memory, '\n' .. field .. ':(%d+)') or 0)
end
return {
  number('used_memory') - number('mem_not_counted_for_evict'),
  number('maxmemory'),
  string.match(memory, '\nmaxmemory_policy:([^\r]+)') or '',
  redis.call('LLEN', KEYS[1]),
}
