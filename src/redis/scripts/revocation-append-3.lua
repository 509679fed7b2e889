-- Appends a revocation to the mesh-wide sequence.
-- KEYS[1] sequence, KEYS[2] generation, KEYS[3] log (sorted set: member = record, score = sequence)
-- ARGV[1] target as JSON, ARGV[2] generation to begin with where there is none, ARGV[3] records to keep
-- Returns {generation, sequence}
redis.call('SET', KEYS[2], ARGV[2], 'NX')
local sequence = redis.call('INCR', KEYS[1])
redis.call('ZADD', KEYS[3], sequence, sequence .. ' ' .. ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[3]))
return {redis.call('GET', KEYS[2]), sequence}
