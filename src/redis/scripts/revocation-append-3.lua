-- Appends a revocation to the mesh-wide sequence.
-- KEYS[1] sequence, KEYS[2] generation, KEYS[3] log (see revocation-sync)
-- ARGV[1] target as JSON, ARGV[2] token, never used before: the record's mark, and the name of the generation to begin
-- with where there is none, ARGV[3] records to keep
-- Returns {generation, sequence, ms of now, ms of the generation's beginning}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('SET', KEYS[2], ARGV[2] .. '@' .. string.format('%.0f', now), 'NX')
local generation = redis.call('GET', KEYS[2])
local sequence = redis.call('INCR', KEYS[1])
redis.call('ZADD', KEYS[3], sequence, sequence .. ' ' .. ARGV[2] .. ' ' .. ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[3]))
return {generation, sequence, now, tonumber(string.match(generation, '@(%d+)$') or '0')}
