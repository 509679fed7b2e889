-- Shares one limit out to processes: each holds a part for the proxies that ask it, and all of them together never more than
-- there is. A part that is not renewed in time is free again.
-- KEYS: 1 hash of process to "proxies wanted spare held until"
-- ARGV: 1 the process, 2 its proxies, 3 what they want, 4 what they would like to have beside, 5 what they hold and keep,
--       6 what they are to hold, that included, 7 what they have used since and have charged just now: it stays held until the
--       next call, because others may have looked at the limit before that charge, 8 what there is, 9 for how long (ms)
-- Returns: {what they may hold, how many of the others come before this one, then of each of them: proxies, wanted, spare}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fields = redis.call('HGETALL', KEYS[1])
local taken, before, reply = 0, nil, { 0, 0 }
for i = 1, #fields, 2 do
  if fields[i] == ARGV[1] then
    before = (#reply - 2) / 3
  else
    local parts = {}
    for part in string.gmatch(fields[i + 1], '%S+') do parts[#parts + 1] = tonumber(part) end
    if #parts == 5 and parts[5] > now then
      taken = taken + parts[4]
      for part = 1, 3 do reply[#reply + 1] = parts[part] end
    else
      redis.call('HDEL', KEYS[1], fields[i])
    end
  end
end
local keeps, ms = tonumber(ARGV[5]), tonumber(ARGV[9])
local held = math.max(keeps, math.min(tonumber(ARGV[6]), tonumber(ARGV[8]) - taken))
reply[1], reply[2] = held, before or (#reply - 2) / 3
local entry = string.format('%s %s %s %.0f %.0f', ARGV[2], ARGV[3], ARGV[4], held + tonumber(ARGV[7]), now + ms)
redis.call('HSET', KEYS[1], ARGV[1], entry)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(ms, redis.call('PTTL', KEYS[1]))))
return reply
