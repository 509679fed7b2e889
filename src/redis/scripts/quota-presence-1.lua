-- Notes that a process charges limits, and counts those that do.
-- KEYS: 1 sorted set of processes, by when they said so last (ms)
-- ARGV: 1 the process, 2 after how long without a word it is not counted (ms)
-- Returns: how many there are, this one included
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
-- Of a clock that has been set back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
