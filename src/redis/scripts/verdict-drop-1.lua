-- Removes an entry that a node could not believe, unless another one has taken its place.
-- KEYS[1] entry (see verdict-get)
-- ARGV[1] the blob that was not believed
-- Returns 1 when removed, 0 when not
if redis.pcall('HGET', KEYS[1], 'b') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
