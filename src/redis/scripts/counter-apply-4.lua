-- Writes what batches make of a slot's entries: all of it or nothing, and each batch once. The caller holds the slot and
-- has computed the entries from what the slot held at a version; who has lost the slot, or knows less, is told.
-- KEYS: 1 hash of slots (see counter-slots-1), where gen and gen-since are of the sets of batches, 2 hash of the slot's
--       entries by number, 3 hash of what these numbers stand for, 4 hash of known fields: d:digest -> in how many slots,
--       g:group -> how many fields, bytes
-- ARGV: 1 slot, 2 this process, 3 version, 4 key prefix of the sets of batches, 5 how long a set is added to (ms),
--       6 bound in bytes of all fields, 7 number of batches, 8 of new fields, 9 of names, then the batches' ids,
--       then for each new field: digest, group, most fields of the group, bytes, then pairs of number and name, then pairs
--       of number and entry
-- Returns: 'done' and the version now, 'lost', 'moved' and the version now, 'known' and the places of batches that were
--          applied before, or 'full' and the places of new fields that the bounds do not let in
local slot, batches, fresh, names = ARGV[1], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
if redis.call('HGET', KEYS[1], 'o:' .. slot) ~= ARGV[2] then
  return { 'lost' }
end
local version = tonumber(redis.call('HGET', KEYS[1], 'v:' .. slot)) or 0
if version ~= tonumber(ARGV[3]) then
  return { 'moved', version }
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local generation = tonumber(redis.call('HGET', KEYS[1], 'gen')) or 0
local since = tonumber(redis.call('HGET', KEYS[1], 'gen-since')) or 0
-- Counted from the first batch of a set on: an outage makes nothing forgotten.
if since > now or since + tonumber(ARGV[5]) < now then
  redis.call('UNLINK', ARGV[4] .. (generation - 1))
  generation = generation + 1
  redis.call('HSET', KEYS[1], 'gen', generation, 'gen-since', now)
end
local latest, before = ARGV[4] .. generation, ARGV[4] .. (generation - 1)
local known = {}
for i = 1, batches do
  local id = ARGV[9 + i]
  if redis.call('SISMEMBER', latest, id) == 1 or redis.call('SISMEMBER', before, id) == 1 then
    known[#known + 1] = i - 1
  end
end
if #known > 0 then
  return { 'known', unpack(known) }
end

local bytes = tonumber(redis.call('HGET', KEYS[4], 'bytes')) or 0
local counts, full = {}, {}
for i = 0, fresh - 1 do
  local at = 9 + batches + 4 * i
  local group, size = ARGV[at + 2], tonumber(ARGV[at + 4])
  local count = counts[group] or tonumber(redis.call('HGET', KEYS[4], 'g:' .. group)) or 0
  local isKnown = redis.call('HEXISTS', KEYS[4], 'd:' .. ARGV[at + 1]) == 1
  if bytes + size > tonumber(ARGV[6]) or (not isKnown and count >= tonumber(ARGV[at + 3])) then
    full[#full + 1] = i
  else
    bytes = bytes + size
    counts[group] = isKnown and count or count + 1
  end
end
if #full > 0 then
  return { 'full', unpack(full) }
end

for i = 0, fresh - 1 do
  redis.call('HINCRBY', KEYS[4], 'd:' .. ARGV[9 + batches + 4 * i + 1], 1)
end
for group, count in pairs(counts) do
  redis.call('HSET', KEYS[4], 'g:' .. group, count)
end
if fresh > 0 then
  redis.call('HSET', KEYS[4], 'bytes', bytes)
end
for i = 1, batches do
  redis.call('SADD', latest, ARGV[9 + i])
end
local function put(key, from, to)
  for i = from, to, 1000 do
    redis.call('HSET', key, unpack(ARGV, i, math.min(i + 999, to)))
  end
end
local namesFrom = 10 + batches + 4 * fresh
put(KEYS[3], namesFrom, namesFrom + 2 * names - 1)
put(KEYS[2], namesFrom + 2 * names, #ARGV)
return { 'done', redis.call('HINCRBY', KEYS[1], 'v:' .. slot, 1) }
