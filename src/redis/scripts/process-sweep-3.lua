-- Forgets processes that have not been heard, and tells whether anything has changed since somebody read the others.
-- KEYS: 1 heard, 2 said, 3 version, as of process-beat
-- ARGV: 1 how long a sign of life holds (ms), 2 this process where it is gone by its own word, else empty
-- Returns: {version, 1 where there may be more to forget}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local most = 200
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0, most)
local more = #gone == most and 1 or 0
if ARGV[2] ~= '' then gone[#gone + 1] = ARGV[2] end
local isChanged = #gone > 0
if isChanged then
  redis.call('ZREM', KEYS[1], unpack(gone))
  redis.call('HDEL', KEYS[2], unpack(gone))
end
-- Who is in one of them only is not known: whoever lives says it again.
if redis.call('ZCARD', KEYS[1]) ~= redis.call('HLEN', KEYS[2]) then
  redis.call('DEL', KEYS[1], KEYS[2])
  isChanged = true
end
-- From before the clock was set back: heard just now.
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'LIMIT', 0, most)) do
  redis.call('ZADD', KEYS[1], now, process)
end
local version = redis.call('GET', KEYS[3])
if isChanged or not version then
  version = t[1] .. '.' .. t[2] .. ' sweep'
  redis.call('DEL', KEYS[3])
  redis.call('SET', KEYS[3], version)
end
return {version, more}
