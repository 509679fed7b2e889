-- What processes said of themselves lately, and which versions they hold for bad.
-- KEYS: 1 observations: hash of process -> JSON; 2 seen: sorted set of process -> ms when it spoke last; 3 votes: hash of
--       process -> JSON
-- ARGV: 1 ms for which what was said counts
-- Returns: {{process (or `process\nversion`, of a start that has died), ms ago, JSON, …}, {process, JSON, …}}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local reply = {}
local seen = redis.call('ZRANGEBYSCORE', KEYS[2], string.format('%.0f', now - tonumber(ARGV[1])), '+inf', 'WITHSCORES')
for at = 1, #seen, 2 do
  local said = redis.call('HGET', KEYS[1], seen[at])
  if said then
    reply[#reply + 1] = seen[at]
    reply[#reply + 1] = math.max(0, now - tonumber(seen[at + 1]))
    reply[#reply + 1] = said
  end
end
return {reply, redis.call('HGETALL', KEYS[3])}
