-- Removes entries of a slot, for the process that holds it and knows all that it holds.
-- KEYS: 1 hash of slots, 2 hash of the slot's entries, 3 of their names, 4 of known fields (see counter-apply-4)
-- ARGV: 1 slot, 2 this process, 3 version, then for each entry: its number, digest, group and bytes
-- Returns: the version now, or -1 where the process does not hold the slot or the version is another one
local slot = ARGV[1]
if redis.call('HGET', KEYS[1], 'o:' .. slot) ~= ARGV[2] then
  return -1
end
if (tonumber(redis.call('HGET', KEYS[1], 'v:' .. slot)) or 0) ~= tonumber(ARGV[3]) then
  return -1
end
for i = 4, #ARGV, 4 do
  redis.call('HDEL', KEYS[2], ARGV[i])
  redis.call('HDEL', KEYS[3], ARGV[i])
  local left = tonumber(redis.call('HGET', KEYS[4], 'd:' .. ARGV[i + 1]))
  -- An overflow is not known: it counts towards no bound.
  if left then
    redis.call('HINCRBY', KEYS[4], 'bytes', -tonumber(ARGV[i + 3]))
    if left > 1 then
      redis.call('HINCRBY', KEYS[4], 'd:' .. ARGV[i + 1], -1)
    else
      redis.call('HDEL', KEYS[4], 'd:' .. ARGV[i + 1])
      redis.call('HINCRBY', KEYS[4], 'g:' .. ARGV[i + 2], -1)
    end
  end
end
return redis.call('HINCRBY', KEYS[1], 'v:' .. slot, 1)
