-- Gives a process of a handler a numbered slot to count in, renews its leases, and lets it adopt slots of processes that
-- are gone. A slot that was only adopted goes to a process that has none: it asks, and the holder's next call hands over.
-- KEYS: 1 hash of slots: count, and for slot n: o:n owner, u:n end of its lease (ms), v:n version, a:n whether it is only
--       adopted, w:n who asks for it, x:n until when (ms)
-- ARGV: 1 this process, 2 lease (ms), 3 'keep', 'take' (leases that have ended may be taken), 'release' or 'more'
-- Returns: with 'more' a new slot, which counts as adopted; else the slot to count in, or -1 where the process has to ask again; then number and version of each slot it owns
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local me, lease, mode = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local flat = redis.call('HGETALL', KEYS[1])
local slots = {}
for i = 1, #flat, 2 do
  slots[flat[i]] = flat[i + 1]
end
local count = math.min(tonumber(slots['count']) or 0, 10000)
local function set(...)
  redis.call('HSET', KEYS[1], ...)
end

if mode == 'release' then
  for n = 0, count - 1 do
    if slots['o:' .. n] == me then
      set('o:' .. n, '', 'a:' .. n, '0')
    end
  end
  return { -1 }
end

if mode == 'more' then
  set('count', count + 1, 'o:' .. count, me, 'u:' .. count, now + lease, 'a:' .. count, '1')
  return { count }
end

local mine, spare, asked = nil, nil, false
local adopted, free = {}, {}
for n = 0, count - 1 do
  local owner = slots['o:' .. n] or ''
  local wanted = (slots['w:' .. n] or '') ~= '' and (tonumber(slots['x:' .. n]) or 0) >= now
  if owner == me then
    if not mine and slots['a:' .. n] ~= '1' then
      mine = n
    else
      adopted[#adopted + 1] = n
    end
  elseif owner == '' or (mode == 'take' and (tonumber(slots['u:' .. n]) or 0) < now) then
    free[#free + 1] = n
  elseif wanted and slots['w:' .. n] == me then
    asked = true
  elseif slots['a:' .. n] == '1' and not wanted and not spare then
    spare = n
  end
end

if not mine and #free > 0 then
  mine = table.remove(free, 1)
elseif not mine and #adopted > 0 then
  mine = table.remove(adopted, 1)
elseif not mine and spare and not asked then
  set('w:' .. spare, me, 'x:' .. spare, now + lease)
elseif not mine and not asked then
  mine = count
  set('count', count + 1)
end
if not mine then
  return { -1 }
end

local owned = { mine, mine, tonumber(slots['v:' .. mine]) or 0 }
set('o:' .. mine, me, 'u:' .. mine, now + lease, 'a:' .. mine, '0', 'w:' .. mine, '')
for _, n in ipairs(adopted) do
  local other = slots['w:' .. n] or ''
  if other ~= '' and (tonumber(slots['x:' .. n]) or 0) >= now then
    set('o:' .. n, other, 'u:' .. n, now + lease, 'a:' .. n, '0', 'w:' .. n, '')
  else
    free[#free + 1] = n
  end
end
for _, n in ipairs(free) do
  set('o:' .. n, me, 'u:' .. n, now + lease, 'a:' .. n, '1')
  owned[#owned + 1] = n
  owned[#owned + 1] = tonumber(slots['v:' .. n]) or 0
end
return owned
