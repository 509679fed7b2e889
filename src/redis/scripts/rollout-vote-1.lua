-- A process holds a version for bad. Its last vote counts, for a day.
-- KEYS: 1 votes: hash of process -> JSON
-- ARGV: 1 the process; 2 its vote, as JSON; 3 ms for which votes are kept; 4 most processes
-- Returns: 1 where it counts, 0 where there are too many already
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
