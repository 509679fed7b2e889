// The Lua scripts of the Redis quotas. Each one is a single atomic step on one hash slot, and Redis's own clock is the
// only one that counts. Repeated calls get the first answer.

import type { LuaScript } from '../../adapter-kit/script-runner.ts'

// KEYS[1] counter   KEYS[2] answer of this deduplication id (same hash tag)
// ARGV    1 amount  2 best effort (1 or 0)  3 maximum  4 window ms  5 bucket ms  6 ms to remember the answer, or 0
// Returns {granted, ms for which the grant (or its refusal) holds, what is left, ms until nothing counts any more}
const BEGIN = `
-- What an older node remembered has two numbers.
local known = ARGV[6] ~= '0' and redis.call('GET', KEYS[2])
if known then
  local granted, valid, left, reset = string.match(known, '^(%d+) (%d+) ?(%-?%d*) ?(%d*)$')
  return {tonumber(granted), tonumber(valid), tonumber(left) or 0, tonumber(reset) or 0}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local amount, max = tonumber(ARGV[1]), tonumber(ARGV[3])
local window, bucket = tonumber(ARGV[4]), tonumber(ARGV[5])
local function grant(used)
  local free = math.max(0, max - used)
  if amount <= free then return amount end
  if ARGV[2] == '1' then return free end
  return 0
end
local function answer(granted, valid, used, reset)
  local left = max - used - granted
  if ARGV[6] ~= '0' then
    redis.call('SET', KEYS[2], string.format('%.0f %.0f %.0f %.0f', granted, valid, left, reset), 'PX', ARGV[6])
  end
  return {granted, valid, left, reset}
end
`

/** One window after another, the first one beginning with the first call. The counter is a hash {used, ends}. */
export const FIXED_WINDOW: LuaScript = {
  keys: 2,
  source: `${BEGIN}
local state = redis.call('HMGET', KEYS[1], 'used', 'ends')
local used, ends = tonumber(state[1]) or 0, tonumber(state[2]) or 0
if now >= ends then used, ends = 0, now + window end
local granted = grant(used)
if granted > 0 then
  redis.call('HSET', KEYS[1], 'used', string.format('%.0f', used + granted), 'ends', string.format('%.0f', ends))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ends - now + 1000))
end
return answer(granted, ends - now, used, ends - now)
`,
}

/**
 * A window that rolls by buckets. The counter is a hash bucket number → amount; a bucket counts until all of it has left
 * the window, so the window is up to one bucket longer, never shorter.
 */
export const ROLLING_WINDOW: LuaScript = {
  keys: 2,
  source: `${BEGIN}
local current = math.floor(now / bucket)
local oldest = math.floor((now - window) / bucket)
local used, first, last = 0, current, 0
local state = redis.call('HGETALL', KEYS[1])
for i = 1, #state, 2 do
  local number = tonumber(state[i])
  if number < oldest then
    redis.call('HDEL', KEYS[1], state[i])
  else
    used = used + tonumber(state[i + 1])
    first = math.min(first, number)
    last = math.max(last, number)
  end
end
local granted = grant(used)
if granted > 0 then
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', current), string.format('%.0f', granted))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', window + 2 * bucket + 1000))
  return answer(granted, window, used, (current + 1) * bucket + window - now)
end
local reset = used > 0 and math.max(1, (last + 1) * bucket + window - now) or 0
return answer(0, math.max(1, (first + 1) * bucket + window - now), used, reset)
`,
}

/** Forgets the counters of a quota, of both kinds. Returns how many there were. */
export const RESET: LuaScript = { keys: 2, source: "return redis.call('DEL', KEYS[1], KEYS[2])" }
