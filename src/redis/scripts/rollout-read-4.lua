-- The state of config rollout, and what the clock of this server says.
-- KEYS: 1 state: hash of rev, since, token, body; 2 quarantine: sorted set of version -> when; 3 why: hash of version -> reason;
--       4 lease: `epoch owner`
-- ARGV: 1 a version, or empty
-- Returns: {ms of now, rev, ms since which its stage lasts, body, token, why the version is in quarantine or false, lease or false}
local t = redis.call('TIME')
local state = redis.call('HMGET', KEYS[1], 'rev', 'since', 'body', 'token')
local why = false
if ARGV[1] ~= '' and redis.call('ZSCORE', KEYS[2], ARGV[1]) then why = redis.call('HGET', KEYS[3], ARGV[1]) or '' end
return {
  t[1] * 1000 + math.floor(t[2] / 1000), tonumber(state[1]) or 0, tonumber(state[2]) or 0, state[3] or '', state[4] or '',
  why, redis.call('GET', KEYS[4]),
}
