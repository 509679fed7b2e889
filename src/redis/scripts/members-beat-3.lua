-- A sign of life of a node that can be asked under an address, and who else is there.
-- KEYS: 1 sorted set address -> when it was heard last (ms), 2 sorted set address of one that goes -> the same, 3 version: another
--       one after each change
-- ARGV: 1 this address; 2 'stays', 'goes' or 'gone'; 3 ms after which who is not heard is gone; 4 most addresses; 5 the version
--       that is known
-- Returns: {version, {addresses}, {those of them that go}}, or {version} where it is known
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local from = '(' .. string.format('%.0f', now - tonumber(ARGV[3]))
-- Removals first: who is gone is known to be although Redis may be full.
local changes = redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', from)
changes = changes + redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', from)
-- From before the clock was set back: nobody could tell how old they are.
local ahead = '(' .. string.format('%.0f', now + tonumber(ARGV[3]))
changes = changes + redis.call('ZREMRANGEBYSCORE', KEYS[1], ahead, '+inf')
redis.call('ZREMRANGEBYSCORE', KEYS[2], ahead, '+inf')
changes = changes + redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[4]))
if ARGV[2] == 'gone' then changes = changes + redis.call('ZREM', KEYS[1], ARGV[1]) end
if ARGV[2] ~= 'goes' then changes = changes + redis.call('ZREM', KEYS[2], ARGV[1]) end
if ARGV[2] ~= 'gone' then changes = changes + redis.call('ZADD', KEYS[1], now, ARGV[1]) end
if ARGV[2] == 'goes' then changes = changes + redis.call('ZADD', KEYS[2], now, ARGV[1]) end
local version = redis.call('GET', KEYS[3])
if changes > 0 or not version then
  version = t[1] .. '.' .. t[2]
  redis.call('SET', KEYS[3], version)
end
if version == ARGV[5] then return {version} end
return {version, redis.call('ZRANGE', KEYS[1], 0, -1), redis.call('ZRANGE', KEYS[2], 0, -1)}
