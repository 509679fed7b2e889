-- Keeps what a process tells of the counters that it uses, for a while.
-- KEYS: 1 sorted set of processes, by when they told last (ms); 2 what this one tells
-- ARGV: 1 the process, 2 its text, 3 for how long it is kept (ms)
-- Returns: how many processes have told something
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
-- Of a clock that has been set back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('ZCARD', KEYS[1])
