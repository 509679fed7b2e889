-- What quota-charge does, for fixed windows that are each settled by themselves: on the same counters, in a quarter of the
-- time. A counter may come several times: each charge finds what those before it have left.
-- KEYS: a counter for each charge
-- ARGV: 1 each | count; 2 until when (ms of this server's time) somebody waits, 0 for ever; then six for each charge: 1 amount
--       allowed, 2 window (ms), 3 'epoch' or 'firstCharge', 4 amount, 5 window to which it belongs, 0 for that of now, 6 how
--       much more to charge where the amount fits, as far as it is there
-- Returns: {µs of now, then four for each charge: 1 where the amount fitted, used, window, how much more was charged}; of what
--          comes too late, only µs of now
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local floor, ceil, max, min, format, match = math.floor, math.ceil, math.max, math.min, string.format, string.match
local isCounting = ARGV[1] == 'count'
-- More would not fit into the answer, and pass for a number below 0. It is above what all charges of a run can be together.
local MOST = 2 ^ 62

local reply = { time[1] * 1000000 + time[2] }
local patience = tonumber(ARGV[2])
if patience > 0 and now > patience then return reply end
for i = 1, #KEYS do
  local key, first = KEYS[i], (i - 1) * 6 + 3
  local limit, window, amount = tonumber(ARGV[first]), tonumber(ARGV[first + 1]), tonumber(ARGV[first + 3])
  local kept, start, used = redis.pcall('GET', key), nil, nil
  if type(kept) == 'string' then
    start, used = match(kept, '^(%d+) (%d+)$')
    start, used = tonumber(start), tonumber(used)
  elseif kept then
    redis.call('DEL', key)
  end
  if not start or now >= start + window or start - now > window then
    start, used = ARGV[first + 2] == 'epoch' and floor(now / window) * window or floor(now), 0
  end
  local fits = amount <= 0 or used + amount <= limit
  local of = tonumber(ARGV[first + 4])
  local isOfNow = of == start or (amount > 0 and of == 0)
  local more = 0
  if fits and amount >= 0 then more = max(0, min(tonumber(ARGV[first + 5]), limit - used - amount)) end
  if more > 0 or (amount ~= 0 and (fits or isCounting) and isOfNow) then
    used = min(MOST, max(0, used + amount + more))
    local ms = ceil(start + window - now)
    if used == 0 then
      redis.call('DEL', key)
    else
      redis.call('SET', key, format('%.0f %.0f', start, used), 'PX', format('%.0f', ms + 1000))
    end
  end
  local at = i * 4 - 2
  reply[at], reply[at + 1], reply[at + 2], reply[at + 3] = fits and 1 or 0, used, start, more
end
return reply
