-- Stores a verdict that a node fetched, unless a younger one is there, and gives the caller's lease back.
-- KEYS[1] entry, KEYS[2] lease (see verdict-get)
-- ARGV[1] token of the caller's lease, ARGV[2] created, ARGV[3] fresh until, ARGV[4] keep until (ms of this server's clock,
-- so that a fill which is late, because this server or the way to it stood still, makes nothing younger),
-- ARGV[5] uses left for other nodes, ARGV[6] blob (an empty one only gives the lease back),
-- ARGV[7] the time in ms, empty for this server's clock, ARGV[8] signature, empty for none
-- Returns 1 when stored, 0 when not
local stored = 0
if ARGV[6] ~= '' then
  local t = redis.call('TIME')
  local now = tonumber(ARGV[7]) or t[1] * 1000 + math.floor(t[2] / 1000)
  local created, keep = tonumber(ARGV[2]), tonumber(ARGV[4]) - now
  local found = redis.pcall('HGET', KEYS[1], 'c')
  -- What no node wrote stands in the way of nothing; a comparison with nan would.
  local there = type(found) == 'string' and string.match(found, '^%d+$') and tonumber(found) or nil
  if keep > 0 and (not there or there <= created or there > now + 1000) then
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 'b', ARGV[6], 'u', ARGV[5], 'c', ARGV[2], 'f', ARGV[3])
    if ARGV[8] ~= '' then redis.call('HSET', KEYS[1], 'm', ARGV[8]) end
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', keep))
    stored = 1
  end
end
if redis.pcall('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return stored
