-- Keeps a version of a config. One that is there stays as it is; the oldest ones that nothing relies on make room.
-- KEYS: 1 versions: sorted set of version -> ms when it was last published; 2 blobs: hash of version -> files, compressed;
--       3 facts: hash of version -> `ms JSON`; 4 state: hash with pins, versions between spaces
-- ARGV: 1 the version; 2 its files; 3 its facts, as JSON; 4 most versions
-- Returns: {1 where it is new, else 0; its facts}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local isNew = redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSETNX', KEYS[3], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
local excess = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[4])
if excess > 0 then
  local pins = ' ' .. (redis.call('HGET', KEYS[4], 'pins') or '') .. ' ' .. ARGV[1] .. ' '
  for _, version in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if excess > 0 and not string.find(pins, ' ' .. version .. ' ', 1, true) then
      excess = excess - 1
      redis.call('ZREM', KEYS[1], version)
      redis.call('HDEL', KEYS[2], version)
      redis.call('HDEL', KEYS[3], version)
    end
  end
end
return {isNew, redis.call('HGET', KEYS[3], ARGV[1])}
