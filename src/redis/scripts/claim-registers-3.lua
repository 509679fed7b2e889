-- Renews a process's leases on registers, adopts those of dead processes and forgets registers long dead.
-- KEYS: 1 sorted set register -> end of its lease (ms), 2 hash register -> owner, 3 hash register -> when it was adopted (ms)
-- ARGV: 1 this process, 2 the register it writes to, 3 lease (ms), 4 how long an adopted register is kept (ms),
--       5 key prefix of the registers' hashes
-- Returns: the registers that this process owns now
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local me, mine, lease, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if not redis.call('HGET', KEYS[2], mine) then
  redis.call('HSET', KEYS[2], mine, me)
  redis.call('ZADD', KEYS[1], now + lease, mine)
end
for _, register in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now)) do
  if redis.call('HGET', KEYS[2], register) ~= me then
    redis.call('HSET', KEYS[2], register, me)
    redis.call('HSETNX', KEYS[3], register, now)
  end
end
local owned = {}
for _, register in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('HGET', KEYS[2], register) == me then
    local since = redis.call('HGET', KEYS[3], register)
    -- What is no time past begins now.
    if since and (tonumber(since) or now + 1) > now then
      redis.call('HSET', KEYS[3], register, now)
      since = now
    end
    if since and register ~= mine and tonumber(since) + keep < now then
      redis.call('ZREM', KEYS[1], register)
      redis.call('HDEL', KEYS[2], register)
      redis.call('HDEL', KEYS[3], register)
      redis.call('DEL', ARGV[5] .. register)
    else
      redis.call('ZADD', KEYS[1], now + lease, register)
      owned[#owned + 1] = register
    end
  end
end
return owned
