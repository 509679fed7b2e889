-- Removes fields of a hash unless the field that guards them has changed since it was read.
-- KEYS: 1 the hash
-- ARGV: 1 the guarding field, 2 its value when read, then the fields to remove
-- Returns: how many fields were removed
local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value or tonumber(value) ~= tonumber(ARGV[2]) then
  return 0
end
local removed = 0
for i = 3, #ARGV do
  removed = removed + redis.call('HDEL', KEYS[1], ARGV[i])
end
return removed
