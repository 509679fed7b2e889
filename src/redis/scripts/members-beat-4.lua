-- A sign of life of a node that can be asked under an address, and who else is there.
-- KEYS: 1 sorted set address -> when it was heard last (ms), 2 sorted set address of one that goes -> the same, 3 version: another
--       one after each change; 4 hash address -> what its node has signed
-- ARGV: 1 this address; 2 'stays', 'goes' or 'gone', or 'looks' to say nothing of itself; 3 ms after which who is not heard is gone;
--       4 most addresses; 5 the version that is known; 6 what this node signs, empty for nothing
-- Returns: {version, ms of now, {addresses}, {those of them that go}, {what they have signed, empty for nothing}}, or {version, ms of
--       now} where the version is known
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
if ARGV[2] == 'stays' or ARGV[2] == 'gone' then changes = changes + redis.call('ZREM', KEYS[2], ARGV[1]) end
if ARGV[2] == 'stays' or ARGV[2] == 'goes' then changes = changes + redis.call('ZADD', KEYS[1], now, ARGV[1]) end
if ARGV[2] == 'goes' then changes = changes + redis.call('ZADD', KEYS[2], now, ARGV[1]) end
if ARGV[6] ~= '' then changes = changes + redis.call('HSET', KEYS[4], ARGV[1], ARGV[6]) end
-- What those have signed that are gone is of no use to anybody.
if changes > 0 and redis.call('HLEN', KEYS[4]) > redis.call('ZCARD', KEYS[1]) then
  for _, address in ipairs(redis.call('HKEYS', KEYS[4])) do
    if not redis.call('ZSCORE', KEYS[1], address) then redis.call('HDEL', KEYS[4], address) end
  end
end
local version = redis.call('GET', KEYS[3])
if changes > 0 or not version then
  version = t[1] .. '.' .. t[2]
  redis.call('SET', KEYS[3], version)
end
local stamp = string.format('%.0f', now)
if version == ARGV[5] then return {version, stamp} end
local addresses, signed = redis.call('ZRANGE', KEYS[1], 0, -1), {}
for at, address in ipairs(addresses) do signed[at] = redis.call('HGET', KEYS[4], address) or '' end
return {version, stamp, addresses, redis.call('ZRANGE', KEYS[2], 0, -1), signed}
