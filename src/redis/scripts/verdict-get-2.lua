-- Looks a verdict up for a node and, where there is no fresh one, gives one node the lease to fetch it.
-- KEYS[1] entry: hash b = blob, u = uses left, c = created, f = fresh until (ms of this server's clock),
--         m = signature, where its node signs
-- KEYS[2] lease
-- ARGV[1] token of the caller, ARGV[2] lease ms, ARGV[3] age in ms of the entry that the caller has, -1 for none:
--         only a younger one is of interest; ARGV[4] the time in ms, empty for this server's clock,
-- ARGV[5] the longest life of an entry in ms, ARGV[6] most bytes of a blob, ARGV[7] the longest lease in ms, ARGV[8] the
-- most uses to take of a fresh entry: a node that keeps no copy needs one; ARGV[9] the same of an entry that is not
-- Returns {state, age ms, remaining fresh ms, uses granted, blob, wrong, uses there were, now, created, fresh until, signature}; state:
--   F fresh (uses are taken from the entry's budget and now belong to the caller) · L not fresh, the caller has the
--   lease · W not fresh, another node has the lease. L and W carry the stale entry where there is one (age -1: none),
--   with uses of it if it has any left and the caller wants some.
--   wrong: why what was found under the key is no entry and was removed; empty where nothing was
local t = redis.call('TIME')
local now = tonumber(ARGV[4]) or t[1] * 1000 + math.floor(t[2] / 1000)

local wrong = ''
local function remove(reason)
  redis.call('DEL', KEYS[1])
  wrong = reason
  return {}
end

-- Nothing that Intermix writes has more than 15 digits.
local function whole(text)
  return text and #text <= 15 and string.match(text, '^%d+$') and tonumber(text) or nil
end

local function read()
  local bytes = redis.pcall('HSTRLEN', KEYS[1], 'b')
  if type(bytes) ~= 'number' then return remove('type') end
  if bytes == 0 then return {} end
  if bytes > tonumber(ARGV[6]) then return remove('size') end
  local found = redis.call('HMGET', KEYS[1], 'b', 'u', 'c', 'f', 'm')
  local entry = {blob = found[1], uses = whole(found[2]), created = whole(found[3]), fresh = whole(found[4])}
  local signature = found[5] or ''
  if not (entry.uses and entry.created and entry.fresh) or #signature > 200 then return remove('fields') end
  entry.signed = {found[3], found[4], signature}
  -- A moment is granted for a failover to a server whose clock is a little behind.
  if entry.created > now + 1000 then return remove('future') end
  if entry.fresh - entry.created > tonumber(ARGV[5]) then return remove('lifetime') end
  return entry
end

local function told(state, age, remaining, uses, entry)
  local signed = entry.signed or {'', '', ''}
  local blob, held = entry.blob or '', entry.uses or 0
  return {state, age, remaining, uses, blob, wrong, held, now, signed[1], signed[2], signed[3]}
end

local function take(entry, most)
  local uses = math.min(math.max(1, math.floor(entry.uses / 8)), entry.uses, tonumber(most))
  if uses > 0 then redis.call('HINCRBY', KEYS[1], 'u', -uses) end
  return uses
end

local entry = read()
local age, remaining = -1, 0
if entry.blob then
  age = math.max(0, now - entry.created)
  remaining = entry.fresh - now
  local known = tonumber(ARGV[3])
  if remaining > 0 and entry.uses > 0 and (known < 0 or age < known) then
    return told('F', age, remaining, take(entry, ARGV[8]), entry)
  end
end
local state = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) and 'L' or 'W'
if state == 'W' then
  -- What has no end, or one that no node gives, is no lease.
  local rest = redis.call('PTTL', KEYS[2])
  if rest < 0 or rest > tonumber(ARGV[7]) then
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
    state = 'L'
  end
end
local uses = entry.blob and remaining <= 0 and take(entry, ARGV[9]) or 0
return told(state, age, remaining, uses, entry)
