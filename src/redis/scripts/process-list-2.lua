-- Who lives, and which queues of reports there are.
-- KEYS: 1 hash process -> what it said of itself, 2 sorted set of queues, both as of process-beat
-- ARGV: 1 what the keys begin with that live as long as processes
-- Returns: {what each living process said of itself}, {queues}
local said = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if redis.call('EXISTS', ARGV[1] .. all[i]) == 1 then
    said[#said + 1] = all[i + 1]
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return {said, redis.call('ZRANGE', KEYS[2], 0, -1)}
