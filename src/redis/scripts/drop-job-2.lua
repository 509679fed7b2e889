-- Removes an active job that is damaged, so that nobody takes it again.
-- KEYS: 1 the list of active jobs, 2 the job
-- ARGV: 1 id of the job
-- Returns: how often it stood in the list
redis.call('DEL', KEYS[2], KEYS[2] .. ':lock')
return redis.call('LREM', KEYS[1], 0, ARGV[1])
