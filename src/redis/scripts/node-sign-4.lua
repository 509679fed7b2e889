-- A sign of life of a process that accepts reports, with its numbers; the first one forgets some of what is too old.
-- KEYS: 1 nodes: hash of process → `milliseconds JSON`; 2 arrived: hash of `process records|parcels|at` → number; 3 signed:
--       sorted set of process → milliseconds; 4 where the search for what is too old among the arrived goes on
-- ARGV: 1 the process; 2 its numbers as JSON; 3 '1' for its first sign; 4 how many processes are kept; 5 for how long (ms)
-- Returns: 1 where the process was not known, else 0; and what of it has come to the fan-out: records and parcels
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local isNew = redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
redis.call('ZADD', KEYS[3], now, ARGV[1])
local came = redis.call('HMGET', KEYS[2], ARGV[1] .. ' records', ARGV[1] .. ' parcels')
local reply = { isNew, tonumber(came[1]) or 0, tonumber(came[2]) or 0 }
if ARGV[3] ~= '1' then return reply end

local since = now - tonumber(ARGV[5])
local old = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', since, 'LIMIT', 0, 100)
local excess = math.min(redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[4]), 100)
if #old < excess then old = redis.call('ZRANGE', KEYS[3], 0, excess - 1) end
if #old > 0 then
  redis.call('ZREM', KEYS[3], unpack(old))
  redis.call('HDEL', KEYS[1], unpack(old))
end
-- Each process brings three fields, and looks at a hundred or so.
local reached = redis.pcall('GET', KEYS[4])
if type(reached) ~= 'string' or not string.match(reached, '^%d+$') then reached = '0' end
local page = redis.call('HSCAN', KEYS[2], reached, 'COUNT', 100)
redis.call('SET', KEYS[4], page[1], 'PX', ARGV[5])
for i = 1, #page[2], 2 do
  local process = string.match(page[2][i], '^(.*) at$')
  if process and (tonumber(page[2][i + 1]) or 0) < since and redis.call('HEXISTS', KEYS[1], process) == 0 then
    redis.call('HDEL', KEYS[2], process .. ' records', process .. ' parcels', process .. ' at')
  end
end
return reply
