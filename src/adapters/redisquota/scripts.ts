// The Lua scripts of the Redis quotas. Each one is a single atomic step, and Redis's own clock is the only one that counts.
// Repeated calls get the first answer.

import type { LuaScript } from '../../adapter-kit/script-runner.ts'

/**
 * Charges amounts, all of them or none. A fixed window begins with the first call and is followed by the next one: a hash
 * {used, ends}. A rolling window is a hash bucket number → amount; a bucket counts until all of it has left the window, so the
 * window is up to one bucket longer, never shorter.
 */
export const CHARGE: LuaScript = {
  keys: 'any',
  source: `
-- KEYS    of each charge: counter, answer of its deduplication id (same hash tag)
-- ARGV    of each charge: 1 amount  2 best effort (1 or 0)  3 maximum  4 window ms  5 bucket ms, or 0 for a fixed window
--         6 ms to remember the answer, or 0
-- Returns of each charge {granted, ms for which the grant (or its refusal) holds, what is left, ms until nothing counts any
--         more, 1 where it had room}. What is refused for the sake of another charge is not remembered.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end

local function recall(memory, amount)
  local known = redis.call('GET', memory)
  if not known then return end
  -- What an older node remembered has two numbers.
  local granted, valid, left, reset = string.match(known, '^(%d+) (%d+) ?(%-?%d*) ?(%d*)$')
  granted = math.min(tonumber(granted), amount)
  local fits = granted > 0 and 1 or 0
  return {granted, tonumber(valid), tonumber(left) or 0, tonumber(reset) or 0, fits}
end

local function lookFixed(charge)
  local state = redis.call('HMGET', charge.key, 'used', 'ends')
  local used, ends = tonumber(state[1]) or 0, tonumber(state[2]) or 0
  if now >= ends then used, ends = 0, now + charge.window end
  charge.used = used
  charge.write = function(granted)
    redis.call('HSET', charge.key, 'used', text(charge.used + granted), 'ends', text(ends))
    redis.call('PEXPIRE', charge.key, text(ends - now + 1000))
  end
  charge.times = function() return ends - now, ends - now end
end

local function lookRolling(charge)
  local window, bucket = charge.window, charge.bucket
  local current, oldest = math.floor(now / bucket), math.floor((now - window) / bucket)
  local used, first, last = 0, current, 0
  local state = redis.call('HGETALL', charge.key)
  for i = 1, #state, 2 do
    local number = tonumber(state[i])
    if number < oldest then
      redis.call('HDEL', charge.key, state[i])
    else
      used = used + tonumber(state[i + 1])
      first = math.min(first, number)
      last = math.max(last, number)
    end
  end
  charge.used = used
  charge.write = function(granted)
    redis.call('HINCRBY', charge.key, text(current), text(granted))
    redis.call('PEXPIRE', charge.key, text(window + 2 * bucket + 1000))
  end
  charge.times = function(granted)
    if granted > 0 then return window, (current + 1) * bucket + window - now end
    local reset = used > 0 and math.max(1, (last + 1) * bucket + window - now) or 0
    return math.max(1, (first + 1) * bucket + window - now), reset
  end
end

local charges, taken, fit = {}, {}, true
for i = 1, #KEYS / 2 do
  local argument = function(number) return tonumber(ARGV[(i - 1) * 6 + number]) end
  local charge = {
    key = KEYS[2 * i - 1], memory = KEYS[2 * i], amount = argument(1), max = argument(3), window = argument(4),
    bucket = argument(5), remembered = argument(6)
  }
  -- A look is no call that is repeated, and says nothing of one.
  if charge.amount == 0 then charge.remembered = 0 end
  charge.answer = charge.remembered > 0 and recall(charge.memory, charge.amount)
  if charge.answer then
    charge.fits = charge.answer[5]
  else
    if charge.bucket > 0 then lookRolling(charge) else lookFixed(charge) end
    -- Two quotas of a call may have one counter.
    local before = taken[charge.key] or 0
    charge.used = charge.used + before
    local free = math.max(0, charge.max - charge.used)
    charge.granted = charge.amount <= free and charge.amount or argument(2) == 1 and free or 0
    charge.fits = (charge.granted > 0 or charge.amount == 0) and 1 or 0
    charge.before = before
    taken[charge.key] = before + charge.granted
  end
  fit = fit and charge.fits == 1
  charges[i] = charge
end

local replies = {}
for i, charge in ipairs(charges) do
  if not charge.answer then
    local granted, used = charge.granted, charge.used
    if not fit then granted, used = 0, used - charge.before end
    if granted > 0 then charge.write(granted) end
    local valid, reset = charge.times(granted)
    local left = charge.max - used - granted
    if charge.remembered > 0 and (fit or #charges == 1) then
      local answer = string.format('%.0f %.0f %.0f %.0f', granted, valid, left, reset)
      redis.call('SET', charge.memory, answer, 'PX', text(charge.remembered))
    end
    charge.answer = {granted, valid, left, reset, charge.fits}
  end
  replies[i] = charge.answer
end
return replies
`,
}

/** Forgets the counters of a quota, of both kinds. Returns how many there were. */
export const RESET: LuaScript = { keys: 2, source: "return redis.call('DEL', KEYS[1], KEYS[2])" }
