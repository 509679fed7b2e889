-- Counts what became of report batches: each event once, each instance in one place at a time.
-- KEYS: 1 totals: hash of `handler what` → number; 2 held: hash of batch → `count bytes life dead`; 3 arrived: hash of
--       `process records|parcels|at` → number; 4 and 5: sets of what was seen in even and in odd hours
-- ARGV: 1 a JSON list of events: {"kind", "id", ...}; which there are stands in telemetry/redis-ledger.ts
-- Returns: JSON {"results": a list for each event, "changed": `handler what` → by how much}
local seconds = redis.call('TIME')[1]
local hour = math.floor(seconds / 3600)
local fresh, former = KEYS[4 + hour % 2], KEYS[5 - hour % 2]
local changed = {}

local function add(handler, what, number)
  local field = handler .. ' ' .. what
  changed[field] = (changed[field] or 0) + number
end

local function seen(id)
  return redis.call('SISMEMBER', fresh, id) == 1 or redis.call('SISMEMBER', former, id) == 1
end

-- A set lasts to the end of the hour after its own, so that there are two at most.
local function mark(id)
  local stamp = '@' .. hour
  if redis.call('SISMEMBER', fresh, stamp) == 0 then
    redis.call('UNLINK', fresh)
    redis.call('SADD', fresh, stamp)
    redis.call('EXPIRE', fresh, 7200)
  end
  redis.call('SADD', fresh, id)
end

local function find(id)
  local text = redis.call('HGET', KEYS[2], id)
  if not text then return nil end
  local count, bytes, life, dead = string.match(text, '^(%d+) (%d+) (%d+) (%d)$')
  return { count = tonumber(count), bytes = tonumber(bytes), life = tonumber(life), dead = dead == '1' }
end

local function move(handler, entry, sign)
  add(handler, 'held', sign * entry.count)
  add(handler, entry.dead and 'deadBytes' or 'bytes', sign * entry.bytes)
  if entry.dead then add(handler, 'dead', sign * entry.count) end
  add(handler, (entry.dead and 'letters' or 'batches') .. (sign > 0 and 'In' or 'Out'), 1)
end

local function enter(handler, id, entry)
  local text = string.format('%.0f %.0f %.0f %d', entry.count, entry.bytes, entry.life, entry.dead and 1 or 0)
  redis.call('HSET', KEYS[2], id, text)
  move(handler, entry, 1)
end

local function leave(handler, id, entry)
  redis.call('HDEL', KEYS[2], id)
  move(handler, entry, -1)
end

local function isBeyond(handler, bytes, share)
  local field = handler .. ' bytes'
  local waiting = (tonumber(redis.call('HGET', KEYS[1], field)) or 0) + (changed[field] or 0)
  return share ~= nil and waiting > 0 and waiting + bytes > share
end

local events = {}

-- What was decided before stays: what is not held by now has ended, or was never taken.
local function decided(event)
  local results = {}
  for i, batch in ipairs(event.batches) do
    local entry = find(batch.id)
    results[i] = entry and entry.dead == (batch.dead or false) and 1 or 0
  end
  return { 0, results }
end

-- A parcel at the fan-out. One with a name may have come before as another parcel, of this process or of another one.
function events.arrive(event)
  local results = {}
  local known = seen(event.mark)
  mark(event.mark)
  if known then return decided(event) end
  if event.process then
    redis.call('HINCRBY', KEYS[3], event.process .. ' records', event.count)
    redis.call('HINCRBY', KEYS[3], event.process .. ' parcels', 1)
    redis.call('HSET', KEYS[3], event.process .. ' at', seconds * 1000)
  end
  if event.name then
    local again = seen(event.name)
    mark(event.name)
    if again then
      add(event.handler, 'repeated', event.count)
      return decided(event)
    end
  end
  local replayed = find(event.id)
  if replayed then leave(event.handler, event.id, replayed) else add(event.handler, 'accepted', event.count) end
  local read = event.count
  for i, batch in ipairs(event.batches) do
    if batch.dead then read = read - batch.count else add(batch.handler, 'accepted', batch.count) end
    if not batch.dead and isBeyond(batch.handler, batch.bytes, batch.share) then
      add(batch.handler, 'dropped:queue-full', batch.count)
      results[i] = 0
    else
      enter(batch.handler, batch.id, batch)
      results[i] = 1
    end
  end
  for _, drop in ipairs(event.dropped) do
    if drop.handler == event.handler then read = read - drop.count else add(drop.handler, 'accepted', drop.count) end
    add(drop.handler, 'dropped:' .. drop.reason, drop.count)
  end
  add(event.handler, 'delivered', read)
  return { 1, results }
end

-- A batch that has ended; what is left of it goes on under other ids. One that nobody has counted in is so now.
function events.settle(event)
  local entry = find(event.id)
  if entry == nil and seen(event.id) then return 0 end
  if entry and event.life and (entry.life > event.life or not entry.dead) then return 0 end
  local rest = entry and entry.count or 0
  if entry then leave(event.handler, event.id, entry) end
  mark(event.id)
  rest = rest - event.delivered
  add(event.handler, 'delivered', event.delivered)
  for reason, count in pairs(event.dropped) do
    rest = rest - count
    add(event.handler, 'dropped:' .. reason, count)
  end
  for _, child in ipairs(event.children) do
    rest = rest - child.count
    enter(event.handler, child.id, { count = child.count, bytes = child.bytes, life = entry and entry.life or 0 })
  end
  add(event.handler, 'accepted', -rest)
  return 1
end

function events.bury(event)
  local entry = find(event.id)
  if entry == nil and seen(event.id) then return 0 end
  if entry and (entry.life > event.life or (entry.life == event.life and entry.dead)) then return 0 end
  if entry then leave(event.handler, event.id, entry) else add(event.handler, 'accepted', event.count) end
  local count = entry and entry.count or event.count
  enter(event.handler, event.id, { count = count, bytes = event.bytes, life = event.life, dead = true })
  return 1
end

-- Out of the dead letters, back on its way.
function events.take(event)
  local entry = find(event.id)
  if entry == nil and seen(event.id) then return 0 end
  if entry and (entry.life > event.life or not entry.dead) then return 0 end
  if entry then leave(event.handler, event.id, entry) else add(event.handler, 'accepted', event.count) end
  if event.to ~= event.id then mark(event.id) end
  local count = entry and entry.count or event.count
  enter(event.handler, event.to, { count = count, bytes = event.bytes, life = event.life + 1 })
  return 1
end

local results = {}
for i, event in ipairs(cjson.decode(ARGV[1])) do results[i] = events[event.kind](event) end
for field, number in pairs(changed) do
  if number ~= 0 then redis.call('HINCRBY', KEYS[1], field, string.format('%.0f', number)) end
end
return cjson.encode({ results = results, changed = changed })
