-- Looks a verdict up for a node and, where there is no fresh one, gives one node the lease to fetch it.
-- KEYS[1] entry: hash b = blob, u = uses left, c = created, f = fresh until (ms of this server's clock)
-- KEYS[2] lease
-- ARGV[1] token of the caller, ARGV[2] lease ms, ARGV[3] age in ms of the entry that the caller has, -1 for none:
--         only a younger one is of interest; ARGV[4] the time in ms, empty for this server's clock
-- Returns {state, age ms, remaining fresh ms, uses granted, blob}; state:
--   F fresh (uses are taken from the entry's budget and now belong to the caller) · L not fresh, the caller has the
--   lease · W not fresh, another node has the lease. L and W carry the stale entry where there is one (age -1: none).
local t = redis.call('TIME')
local now = tonumber(ARGV[4]) or t[1] * 1000 + math.floor(t[2] / 1000)
-- A key of another type under this name is no entry.
local entry = redis.pcall('HMGET', KEYS[1], 'b', 'u', 'c', 'f')
if entry.err then entry = {} end
local age, remaining = -1, 0
if entry[1] and entry[2] and entry[3] and entry[4] then
  age = now - tonumber(entry[3])
  remaining = tonumber(entry[4]) - now
  local known = tonumber(ARGV[3])
  local uses = tonumber(entry[2])
  if remaining > 0 and uses > 0 and age >= -1000 and (known < 0 or age < known) then
    local take = math.max(1, math.floor(uses / 8))
    redis.call('HINCRBY', KEYS[1], 'u', -take)
    return {'F', age, remaining, take, entry[1]}
  end
end
local state = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) and 'L' or 'W'
-- What has no end is no lease.
if state == 'W' and redis.call('PTTL', KEYS[2]) < 0 then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  state = 'L'
end
return {state, age, remaining, 0, entry[1] or ''}
