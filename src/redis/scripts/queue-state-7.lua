-- Tells how a queue of BullMQ stands, and which of its active jobs are no jobs any more.
-- KEYS: 1 waiting, 2 active, 3 delayed, 4 prioritized, 5 failed, 6 meta, 7 the rate limiter
-- ARGV: 1 what keys of jobs begin with, 2 now (ms), 3 how many active jobs to look at
-- Returns: jobs that could be taken, delayed, active and failed ones; when the oldest was added (ms, 0: there is none); 1 where
--   no job may be taken now; then ids of active jobs whose data is gone and which nobody holds
local function added(id)
  local at = id and redis.pcall('HGET', ARGV[1] .. id, 'timestamp')
  return type(at) == 'string' and tonumber(at) or nil
end
local active = redis.call('LLEN', KEYS[2])
local due = redis.call('ZCOUNT', KEYS[3], 0, (ARGV[2] + 1) * 0x1000 - 1)
local waiting = redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[4])
local oldest
for _, id in ipairs({
  redis.call('LINDEX', KEYS[1], -1) or '',
  redis.call('LINDEX', KEYS[2], -1) or '',
  redis.call('ZRANGE', KEYS[3], 0, 0)[1] or '',
  redis.call('ZRANGE', KEYS[4], 0, 0)[1] or '',
}) do
  local at = added(id)
  if at and (not oldest or at < oldest) then
    oldest = at
  end
end
local meta = redis.call('HMGET', KEYS[6], 'paused', 'concurrency')
-- While jobs are taken the limiter counts them; a pause sets it to the largest number that BullMQ knows.
local limited = (tonumber(redis.call('GET', KEYS[7])) or 0) >= 9007199254740991
local closed = meta[1] or (meta[2] and active >= tonumber(meta[2])) or limited
local reply = {
  waiting + due,
  redis.call('ZCARD', KEYS[3]) - due,
  active,
  redis.call('ZCARD', KEYS[5]),
  oldest or 0,
  closed and 1 or 0,
}
for _, id in ipairs(redis.call('LRANGE', KEYS[2], -ARGV[3], -1)) do
  local key = ARGV[1] .. id
  local has = redis.pcall('HEXISTS', key, 'data')
  if has ~= 1 and redis.call('EXISTS', key .. ':lock') == 0 then
    table.insert(reply, id)
  end
end
return reply
