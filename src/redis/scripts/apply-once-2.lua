-- Applies changes to a hash at most once per event.
-- KEYS: 1 the key that says the event was applied, 2 the hash
-- ARGV: 1 how long the event is remembered (ms), then triples: 'add' or 'set', field, number
-- Returns: 1 when applied, 0 when it had been applied before
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then
  return 0
end
for i = 2, #ARGV, 3 do
  if ARGV[i] == 'add' then
    redis.call('HINCRBYFLOAT', KEYS[2], ARGV[i + 1], ARGV[i + 2])
  else
    redis.call('HSET', KEYS[2], ARGV[i + 1], ARGV[i + 2])
  end
end
return 1
