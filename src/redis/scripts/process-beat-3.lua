-- A sign of life of a process that adds reports or takes them, and the queues to which it may add.
-- KEYS: 1 sorted set process -> end of its lease (ms), 2 hash process -> what it said of itself, 3 sorted set queue of
--       reports -> when somebody last might add to it (ms)
-- ARGV: 1 this process, 2 lease (ms), 3 what it says of itself, empty where it is what it said last, 4 most processes,
--       5 most queues, then the queues
-- Returns: 1, or 0 where what it said last is not known any more: it is to say it again
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function remove(processes)
  for _, process in ipairs(processes) do
    redis.call('ZREM', KEYS[1], process)
    redis.call('HDEL', KEYS[2], process)
  end
end
for i = 6, #ARGV do redis.call('ZADD', KEYS[3], now, ARGV[i]) end
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[5]))
if ARGV[3] ~= '' then redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
local known = redis.call('HEXISTS', KEYS[2], ARGV[1])
if known == 1 then redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1]) end
remove(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now))
remove(redis.call('ZRANGE', KEYS[1], 0, -1 - tonumber(ARGV[4])))
return known
