-- Charges amounts to limits, in one step, by the clock of this server. Each limit's way of counting stands in
-- src/quota/algorithms, with its reasons; here is the same on state in Redis. No counter is kept longer than it counts.
-- KEYS: a counter for each charge; then, where ARGV[2] is not 0, the outcome of this id
-- ARGV: 1 all | part | each | count; 2 how long the outcome is remembered (ms), 0 for not at all; 3 the id, which names a
--       place in flight; 4 until when (ms of this server's time) somebody waits, 0 for ever; then seven for each charge: 1 way
--       of counting, 2 amount allowed, 3 window or expiry (ms), 4 burst, bucket (ms), 'epoch' or 'firstCharge', or the
--       beginnings of four units of the calendar, 5 amount, 6 window to which it belongs, 0 for that of now, 7 how much more
--       to charge where the amount is granted, as far as it is there
-- Returns: {ms of now, then six for each charge: granted in all, 1 where the amount fitted, left, ms to its reset, ms to a
--          retry (-1 never), window}; of what comes too late, for which the caller has found another answer, and of
--          units of the calendar that are not those of now, only ms of now
local count = (#ARGV - 4) / 7
local memory = ARGV[2] ~= '0' and KEYS[count + 1]
local known = memory and redis.call('GET', memory)
if known then return cjson.decode(known) end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local patience = tonumber(ARGV[4])
if patience > 0 and now > patience then return { math.floor(now) } end
local NEVER = -1
-- Of a fixed window: see quota-charge-windows-n.lua.
local MOST = 2 ^ 62

local function numbers(text)
  local list = {}
  for number in string.gmatch(text or '', '%S+') do list[#list + 1] = tonumber(number) end
  return list
end

local function read(key)
  local kept = redis.pcall('GET', key)
  if type(kept) == 'string' then return numbers(kept) end
  if kept then redis.call('DEL', key) end
  return {}
end

-- Not longer than a second beyond what it counts, and never without an end.
local function write(key, text, ms)
  if ms <= 0 then
    redis.call('DEL', key)
  else
    redis.call('SET', key, text, 'PX', string.format('%.0f', math.ceil(ms) + 1000))
  end
end

-- The clock of a node may be wrong by more than the units that it names: it is told what time it is, and asks again.
for first = 5, #ARGV, 7 do
  if ARGV[first] == 'calendarWindow' then
    local begins = numbers(ARGV[first + 3])
    if now < begins[1] or now >= begins[4] then return { math.floor(now) } end
  end
end

local function whole(value)
  return math.floor(value + 1e-6)
end

-- A way of counting gives a counter as it is now: {free, reset, window, retry(amount), charge(amount, window)}; `charge`
-- changes `free` and `reset`, too.
local WAYS = {}

local function bucket(key, amount, window, burst, used, at, msFor)
  local counter = { window = 0 }
  local function look()
    counter.free = whole(burst - used)
    counter.reset = used == 0 and 0 or amount == 0 and window or msFor(used)
  end
  counter.retry = function(wanted)
    if wanted > burst then return NEVER end
    return used + wanted <= burst and 0 or msFor(used + wanted - burst)
  end
  counter.charge = function(wanted)
    used = math.max(0, math.min(used + wanted, burst))
    look()
    write(key, string.format('%.17g %.17g', used, at), counter.reset)
  end
  look()
  return counter
end

WAYS.gcra = function(key, amount, window, burst)
  local state = read(key)
  local used, at = state[1] or 0, state[2] or now
  if at - now > window then used, at = 0, now end
  if now > at then used, at = used - (now - at) * amount / window, now end
  if used < 1e-6 then used = 0 end
  local function msFor(tokens)
    return math.max(0, tokens * window / amount + math.max(0, at - now))
  end
  return bucket(key, amount, window, tonumber(burst), used, at, msFor)
end

WAYS.tokenBucket = function(key, amount, window, burst)
  local state = read(key)
  local used, at = state[1] or 0, state[2] or now
  if at - now > window then used, at = 0, now end
  local steps = math.max(0, math.floor((now - at) / window))
  used = math.max(0, used - steps * amount)
  at = used == 0 and math.max(now, at) or at + steps * window
  local function msFor(tokens)
    return at + math.ceil(tokens / amount) * window - now
  end
  return bucket(key, amount, window, tonumber(burst), used, at, msFor)
end

local function fixed(key, amount, start, ends, used)
  local counter = { window = start }
  local function look()
    counter.free = amount - used
    counter.reset = used == 0 and 0 or ends - now
  end
  counter.retry = function(wanted)
    if wanted > amount then return NEVER end
    return used + wanted <= amount and 0 or ends - now
  end
  counter.charge = function(wanted, window)
    if window ~= start and (wanted < 0 or window ~= 0) then return end
    used = math.min(MOST, math.max(0, used + wanted))
    look()
    write(key, string.format('%.0f %.0f', start, used), counter.reset)
  end
  look()
  return counter
end

WAYS.fixedWindow = function(key, amount, window, from)
  local state = read(key)
  local start, used = state[1], state[2]
  if not start or now >= start + window or start - now > window then
    start, used = from == 'epoch' and math.floor(now / window) * window or math.floor(now), 0
  end
  return fixed(key, amount, start, start + window, used)
end

-- The units are those around the time of the node, and this server's time decides which of them it is.
WAYS.calendarWindow = function(key, amount, _, starts)
  local begins = numbers(starts)
  local unit = 1
  while unit < 3 and now >= begins[unit + 1] do unit = unit + 1 end
  local state = read(key)
  local start, used = state[1], state[2]
  if not start or start < begins[unit] or start > begins[unit + 1] then start, used = begins[unit], 0 end
  local ends = start == begins[unit] and begins[unit + 1] or begins[math.min(4, unit + 2)]
  return fixed(key, amount, start, ends, used)
end

WAYS.slidingWindow = function(key, amount, window)
  local state = read(key)
  local index = math.floor(now / window)
  local at, used, before = state[1], state[2], state[3]
  if not at or at - index > 1 or at < index - 1 then
    at, used, before = index, 0, 0
  elseif at == index - 1 then
    at, used, before = index, 0, used
  end
  local start = at * window
  local share = 1 - math.max(0, now - start) / window
  local counter = { window = at }
  local function look()
    counter.free = whole(amount - used - before * share)
    counter.reset = used > 0 and start + 2 * window - now or before > 0 and start + window - now or 0
  end
  counter.retry = function(wanted)
    if wanted > amount then return NEVER end
    if wanted <= counter.free then return 0 end
    if used + wanted <= amount then return start + (1 - (amount - used - wanted) / before) * window - now end
    return start + window + (1 - (amount - wanted) / used) * window - now
  end
  counter.charge = function(wanted, of)
    if of == at or (wanted >= 0 and of == 0) then
      used = math.max(0, used + wanted)
    elseif of == at - 1 then
      before = math.max(0, before + wanted)
    end
    look()
    write(key, string.format('%.0f %.0f %.0f', at, used, before), counter.reset)
  end
  look()
  return counter
end

WAYS.rollingWindow = function(key, amount, window, width)
  width = tonumber(width)
  local oldest, newest = math.floor((now - window) / width), math.floor((now + window) / width)
  local state = read(key)
  local buckets, sum = {}, 0
  for i = 1, #state - 1, 2 do
    if state[i] >= oldest and state[i] <= newest then
      buckets[#buckets + 1] = { state[i], state[i + 1] }
      sum = sum + state[i + 1]
    end
  end
  local function leaves(number)
    return (number + 1) * width + window - now
  end
  local counter = { window = math.floor(now / width) }
  local function look()
    local last = buckets[#buckets]
    counter.free = amount - sum
    counter.reset = last and leaves(last[1]) or 0
  end
  counter.retry = function(wanted)
    if wanted > amount then return NEVER end
    local over = sum + wanted - amount
    if over <= 0 then return 0 end
    for _, each in ipairs(buckets) do
      over = over - each[2]
      if over <= 0 then return leaves(each[1]) end
    end
    return NEVER
  end
  counter.charge = function(wanted, of)
    local last = buckets[#buckets]
    local isNow = wanted >= 0 and of == 0
    local number = isNow and math.max(counter.window, last and last[1] or 0) or of
    local parts, found = {}, number < oldest or number > newest
    sum = 0
    local kept = {}
    for _, each in ipairs(buckets) do
      if not found and each[1] > number and wanted > 0 then
        found = true
        kept[#kept + 1] = { number, wanted }
      elseif each[1] == number then
        found = true
        each[2] = math.max(0, each[2] + wanted)
      end
      if each[2] > 0 then kept[#kept + 1] = each end
    end
    if not found and wanted > 0 then kept[#kept + 1] = { number, wanted } end
    buckets = kept
    for i, each in ipairs(buckets) do
      sum = sum + each[2]
      parts[i] = string.format('%.0f %.0f', each[1], each[2])
    end
    look()
    write(key, table.concat(parts, ' '), counter.reset)
  end
  look()
  return counter
end

WAYS.allocation = function(key, amount, expiry)
  local state = read(key)
  local used, at = state[1] or 0, state[2] or now
  if now - at >= expiry or at - now > expiry then used, at = 0, now end
  local counter = { window = 0 }
  local function look()
    counter.free = amount - used
    counter.reset = used == 0 and 0 or at + expiry - now
  end
  counter.retry = function(wanted)
    if wanted > amount then return NEVER end
    return used + wanted <= amount and 0 or at + expiry - now
  end
  counter.charge = function(wanted)
    used, at = math.max(0, used + wanted), now
    look()
    write(key, string.format('%.0f %.17g', used, at), counter.reset)
  end
  look()
  return counter
end

-- A sorted set of places by when they are taken for gone.
WAYS.concurrency = function(key, amount, expiry)
  local kept = redis.call('TYPE', key).ok
  if kept ~= 'zset' and kept ~= 'none' then redis.call('DEL', key) end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.3f', now))
  redis.call('ZREMRANGEBYSCORE', key, string.format('(%.3f', now + 2 * expiry), '+inf')
  local counter = { window = 0, isThere = redis.call('ZSCORE', key, ARGV[3]) and true or false }
  local function look()
    local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
    counter.free = amount - redis.call('ZCARD', key)
    counter.reset = last and tonumber(last) - now or 0
  end
  counter.retry = function(wanted)
    if wanted > amount then return NEVER end
    if wanted <= counter.free then return 0 end
    return tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or now) - now
  end
  counter.charge = function(wanted)
    if wanted > 0 then
      redis.call('ZADD', key, string.format('%.3f', now + expiry), ARGV[3])
      redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(expiry) + 1000))
    elseif wanted < 0 then
      redis.call('ZREM', key, ARGV[3])
    end
    look()
  end
  look()
  return counter
end

local mode = ARGV[1]
local together = mode == 'all' or mode == 'part'
local all, least = true, math.huge
local reply = { math.floor(now) }

local function settle(each)
  local counter, amount = each.counter, each.amount
  local granted = amount
  if mode == 'part' then
    granted = math.min(amount, least)
  elseif mode == 'all' then
    if not all then granted = 0 end
  elseif not each.fits then
    granted = 0
  end
  local retry = each.fits and 0 or counter.retry(amount)
  -- Of a bucket that does not refill.
  if retry == math.huge then retry = NEVER end
  if each.fits and granted == amount and amount >= 0 then
    granted = amount + math.max(0, math.min(each.ahead, counter.free - amount))
  end
  local counted = mode == 'count' and not each.fits and amount or granted
  if counted ~= 0 then counter.charge(counted, each.window) end
  local at = #reply
  reply[at + 1] = granted
  reply[at + 2] = each.fits and 1 or 0
  reply[at + 3] = counter.free
  reply[at + 4] = math.ceil(counter.reset)
  reply[at + 5] = math.ceil(retry)
  reply[at + 6] = math.floor(counter.window)
end

-- What is settled by itself may name one counter several times: each finds what those before it have left.
local charges = {}
for i = 1, count do
  local first = 5 + (i - 1) * 7
  local amount, ahead = tonumber(ARGV[first + 4]), tonumber(ARGV[first + 6])
  local limit, span = tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2])
  local counter = WAYS[ARGV[first]](KEYS[i], limit, span, ARGV[first + 3])
  local fits = amount <= 0 or counter.isThere or amount <= counter.free
  local charge =
    { counter = counter, amount = amount, fits = fits, window = tonumber(ARGV[first + 5]), ahead = ahead }
  if together then
    charges[i] = charge
    if not fits then all = false end
    if amount > 0 and not counter.isThere then least = math.min(least, math.max(0, counter.free)) end
  else
    settle(charge)
  end
end
for _, each in ipairs(charges) do settle(each) end
if memory then redis.call('SET', memory, cjson.encode(reply), 'PX', ARGV[2]) end
return reply
