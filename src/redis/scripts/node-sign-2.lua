-- A sign of life of a process that accepts reports, with its numbers; the first one forgets processes of more than a day ago.
-- KEYS: 1 nodes: hash of process → `milliseconds JSON`; 2 arrived: hash of `process records|parcels|at` → number
-- ARGV: 1 the process; 2 its numbers as JSON; 3 '1' for its first sign; 4 how many processes are kept; 5 for how long (ms)
-- Returns: 1 where the process was not known, else 0; and what of it has come to the fan-out: records and parcels
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local isNew = redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
local came = redis.call('HMGET', KEYS[2], ARGV[1] .. ' records', ARGV[1] .. ' parcels')
local reply = { isNew, tonumber(came[1]) or 0, tonumber(came[2]) or 0 }
if ARGV[3] ~= '1' then return reply end
local since = now - tonumber(ARGV[5])
local entries, known = redis.call('HGETALL', KEYS[1]), {}
local kept = {}
for i = 1, #entries, 2 do
  local at = tonumber(string.match(entries[i + 1], '^%d+'))
  known[entries[i]] = true
  kept[#kept + 1] = { process = entries[i], at = at }
end
table.sort(kept, function(a, b) return a.at > b.at end)
for i, entry in ipairs(kept) do
  if entry.at < since or i > tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], entry.process)
    known[entry.process] = nil
  end
end
local arrived = redis.call('HGETALL', KEYS[2])
for i = 1, #arrived, 2 do
  local process = string.match(arrived[i], '^(.*) at$')
  if process and not known[process] and tonumber(arrived[i + 1]) < since then
    redis.call('HDEL', KEYS[2], process .. ' records', process .. ' parcels', process .. ' at')
  end
end
return reply
