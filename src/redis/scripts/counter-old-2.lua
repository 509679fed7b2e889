-- Takes a register of the layout before slots that is nobody's any more, for long enough to read it.
-- KEYS: 1 sorted set register -> end of its lease (ms), 2 hash register -> owner
-- ARGV: 1 this process, 2 lease (ms)
-- Returns: how many registers there are, then the register that was taken, if any
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local registers = redis.call('HKEYS', KEYS[2])
for _, register in ipairs(registers) do
  if (tonumber(redis.call('ZSCORE', KEYS[1], register)) or 0) < now then
    -- Workers of the older version keep away from it too.
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), register)
    redis.call('HSET', KEYS[2], register, ARGV[1])
    return { #registers, register }
  end
end
return { #registers }
