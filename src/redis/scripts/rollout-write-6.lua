-- The one way in which the state of config rollout changes: by who has seen the latest one and, if a controller, holds the lease.
-- KEYS: 1 state: hash of rev, since, token, body, pins, epoch; 2 lease: `epoch owner`; 3 quarantine: sorted set of version -> when;
--       4 why: hash of version -> reason; 5 votes: hash of node -> vote; 6 log: stream
-- ARGV: 1 rev that was seen; 2 epoch of the writer's lease, or empty; 3 token of this change; 4 body; 5 versions to be kept;
--       6 '1' where the stage begins; 7 ms that the stage must have lasted; 8 version that leaves quarantine, or empty;
--       9 who; 10 what, as JSON; 11 what, in words; 12 entries to keep; 13 versions to remember in quarantine;
--       14 … versions that go there, each with the reason behind it
-- Returns: {'done', rev, ms of now}, or why nothing was written: {'stale', rev}, {'lease'} or {'early', ms that it has lasted}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ms = string.format('%.0f', now)
local state = redis.call('HMGET', KEYS[1], 'rev', 'since', 'token')
local rev = tonumber(state[1]) or 0
-- Written before, by a call whose answer was lost.
if rev == tonumber(ARGV[1]) + 1 and state[3] == ARGV[3] then return {'done', rev, tonumber(state[2]) or now} end
if rev ~= tonumber(ARGV[1]) then return {'stale', rev} end
if ARGV[2] ~= '' and string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) ') ~= ARGV[2] then return {'lease'} end
local lasted = now - (tonumber(state[2]) or now)
-- What asks for no time is written by a clock that is behind, too: a rollback must not wait for it.
if tonumber(ARGV[7]) > 0 and lasted < tonumber(ARGV[7]) then return {'early', lasted} end

redis.call('HSET', KEYS[1], 'rev', rev + 1, 'token', ARGV[3], 'body', ARGV[4], 'pins', ARGV[5])
if ARGV[6] == '1' then redis.call('HSET', KEYS[1], 'since', ms) end
if ARGV[8] ~= '' then
  redis.call('ZREM', KEYS[3], ARGV[8])
  redis.call('HDEL', KEYS[4], ARGV[8])
  redis.call('DEL', KEYS[5])
end
for at = 14, #ARGV - 1, 2 do
  redis.call('ZADD', KEYS[3], ms, ARGV[at])
  redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
end
local excess = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[13])
if excess > 0 then
  for _, version in ipairs(redis.call('ZRANGE', KEYS[3], 0, excess - 1)) do
    redis.call('ZREM', KEYS[3], version)
    redis.call('HDEL', KEYS[4], version)
  end
end
redis.call('XADD', KEYS[6], 'MAXLEN', ARGV[12], '*', 'at', ms, 'rev', rev + 1, 'by', ARGV[9], 'token', ARGV[3], 'event', ARGV[10],
  'entry', ARGV[11])
return {'done', rev + 1, now}
