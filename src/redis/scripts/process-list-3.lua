-- Who lives, and which queues of reports there are.
-- KEYS: 1 to 3 as of process-beat
-- ARGV: none
-- Returns: {what each living process said of itself}, {queues}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local said = {}
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do
  said[#said + 1] = redis.call('HGET', KEYS[2], process) or nil
end
return {said, redis.call('ZRANGE', KEYS[3], 0, -1)}
