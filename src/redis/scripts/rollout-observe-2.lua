-- What a process says of itself while a config is rolled out. Who falls silent is forgotten after a while.
-- What was said last by one that has started again without a word of leaving stays beside what it says now: `process\nversion`.
-- KEYS: 1 observations: hash of process -> JSON; 2 seen: sorted set of process -> ms when it spoke last
-- ARGV: 1 the process; 2 what it says, as JSON; 3 ms after which it is forgotten; 4 most processes; 5 names its start
-- Returns: ms of now
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local said = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local start, leaving, rest = string.match(said, '^{"start":"([%w-]+)","isLeaving":(%a+),()')
if start and start ~= ARGV[5] and leaving == 'false' then
  local died = ARGV[1] .. '\n' .. (string.match(said, '^"version":"(%x+)"', rest) or '')
  redis.call('HSET', KEYS[1], died, said)
  redis.call('ZADD', KEYS[2], redis.call('ZSCORE', KEYS[2], ARGV[1]) or now, died)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
-- Said by another clock, before Redis failed over to this one: it would not get older for as long as that was ahead.
local ahead = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%.0f', now), '+inf', 'LIMIT', 0, 100)
for _, process in ipairs(ahead) do redis.call('ZADD', KEYS[2], now, process) end
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - tonumber(ARGV[3])), 'LIMIT', 0, 100)
local excess = math.min(redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4]), 100)
if #old < excess then old = redis.call('ZRANGE', KEYS[2], 0, excess - 1) end
if #old > 0 then
  redis.call('ZREM', KEYS[2], unpack(old))
  redis.call('HDEL', KEYS[1], unpack(old))
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return now
