-- A sign of life of a process that adds reports or takes them, and the queues to which it may add.
-- KEYS: 1 sorted set process -> when it was heard last (ms), 2 hash process -> what it said of itself, 3 sorted set queue of
--       reports -> when somebody last might add to it (ms), 4 version: another one after each change of the hash
-- ARGV: 1 this process, 2 what it says of itself, empty where it is what it said last, 3 most queues, then the queues
-- Returns: how many processes there are, or 0 where what it said last is not known any more: it is to say it again
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
-- A removal first, and be it of nothing: nobody is then taken for dead because Redis is full.
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[3]))
if ARGV[2] == '' then
  if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return 0 end
elseif redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
  redis.call('SET', KEYS[4], t[1] .. '.' .. t[2] .. ' ' .. ARGV[1])
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
for i = 4, #ARGV do redis.call('ZADD', KEYS[3], now, ARGV[i]) end
return redis.call('ZCARD', KEYS[1])
