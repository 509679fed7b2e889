-- A sign of life of a process that adds reports or takes them, and the queues to which it may add. It needs no memory as
-- long as nothing has changed, so that nobody is taken for dead because Redis is full.
-- KEYS: 1 the key that lives as long as the process, 2 hash process -> what it said of itself, 3 sorted set queue of
--       reports -> when somebody last might add to it (ms)
-- ARGV: 1 this process, 2 how long the sign holds (ms), 3 what it says of itself, empty where it is what it said last,
--       4 most queues, then the queues
-- Returns: 1, or 0 where what it said last is not known any more: it is to say it again
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for i = 5, #ARGV do redis.pcall('ZADD', KEYS[3], now, ARGV[i]) end
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[4]))
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  return 1
end
if redis.call('PEXPIRE', KEYS[1], ARGV[2]) == 0 then return 0 end
return redis.call('HEXISTS', KEYS[2], ARGV[1])
