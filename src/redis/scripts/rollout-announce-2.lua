-- Takes, or keeps, the right to announce changes of config rollout, notes up to where that has been done, and tells what is next.
-- What was written before anybody announced is announced by nobody.
-- KEYS: 1 announced: hash of id, owner, until (ms); 2 log: stream
-- ARGV: 1 who asks; 2 id of the last entry that it has announced, or empty; 3 ms for which it has the right; 4 most entries
-- Returns: {owner, {{id, fields}, …}}; no entries where it is another one's
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'id', 'owner', 'until')
local id, owner = held[1], held[2]
-- A right that ends later than any was given for is from another clock, before Redis failed over to this one.
local left = (tonumber(held[3]) or 0) - now
if owner and owner ~= ARGV[1] and left > 0 and left <= 60000 then return {owner, {}} end
if not id then
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
  id = last[1] and last[1][1] or '0-0'
elseif ARGV[2] ~= '' and owner == ARGV[1] then
  id = ARGV[2]
end
redis.call('HSET', KEYS[1], 'id', id, 'owner', ARGV[1], 'until', string.format('%.0f', now + tonumber(ARGV[3])))
return {ARGV[1], redis.call('XRANGE', KEYS[2], '(' .. id, '+', 'COUNT', ARGV[4])}
