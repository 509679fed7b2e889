-- Who has applied a revocation, and who has not.
-- KEYS: 1 head, 2 applied, 3 heard, 4 reunion, 5 late (see revocation-sync)
-- ARGV: 1 generation and 2 sequence of the revocation; 3 when it was recorded (ms); 4 ms without word from a node after which
--       it is taken for silent; 5 how many nodes of each kind to name
-- Returns: {{how many have confirmed, have not, are silent, how many callers have not of those that have confirmed}, {names of the
--       first}, {of the second}, {of the third}, {of the fourth: node and names of callers in turns}}
local head = redis.call('GET', KEYS[1]) or ''
local generation = string.match(head, '^(%S+@%d+) %d+ %S+ %S+$')
-- A generation that took the place of the revocation's has voided everything: whoever follows it has.
local wanted = generation == ARGV[1] and tonumber(ARGV[2]) or 0
local from = generation and string.format('%.0f', wanted) or 'inf'

local cutoff = tonumber(ARGV[3]) - tonumber(ARGV[4])
local reunitedAt, lastWord = string.match(redis.call('GET', KEYS[4]) or '', '^(%d+) (%d+) ')
if reunitedAt then
  -- As if Redis, and with it the time in which a node could be heard, had stood still meanwhile.
  local since = math.max(0, tonumber(ARGV[3]) - tonumber(reunitedAt))
  if since < tonumber(ARGV[4]) then cutoff = tonumber(lastWord) + since - tonumber(ARGV[4]) end
end
-- The first score is that of '', which is no node.
cutoff = string.format('%.0f', math.max(0, cutoff))

local confirmed = redis.call('ZCOUNT', KEYS[2], from, '+inf')
local silent = redis.call('ZCOUNT', KEYS[3], 1, '(' .. cutoff)
local missing = math.max(0, redis.call('ZCARD', KEYS[3]) - 1 - confirmed - silent)
local most = tonumber(ARGV[5])
local callers, called = 0, {}
local lates = redis.call('HGETALL', KEYS[5])
for at = 1, #lates, 2 do
  local node = lates[at]
  local lacks, count, names = string.match(lates[at + 1], '^(%d+) (%d+) (.*)$')
  local isHeard = (tonumber(redis.call('ZSCORE', KEYS[3], node)) or 0) >= tonumber(cutoff)
  local has = tonumber(redis.call('ZSCORE', KEYS[2], node))
  if lacks and isHeard and has and has >= wanted and tonumber(lacks) <= wanted then
    callers = callers + tonumber(count)
    if #called < 2 * most then
      called[#called + 1] = node
      called[#called + 1] = names
    end
  end
end
local counts = {confirmed, missing, silent, callers}
if most == 0 then return {counts, {}, {}, {}, {}} end

local late, at = {}, 0
while #late < math.min(most, missing) do
  -- Who has not been heard for longest comes first.
  local nodes = redis.call('ZRANGEBYSCORE', KEYS[3], cutoff == '0' and 1 or cutoff, '+inf', 'LIMIT', at, 500)
  if #nodes == 0 then break end
  for _, node in ipairs(nodes) do
    local has = tonumber(redis.call('ZSCORE', KEYS[2], node))
    if not (generation and has and has >= wanted) and #late < most then late[#late + 1] = node end
  end
  at = at + #nodes
end
return {
  counts,
  redis.call('ZRANGEBYSCORE', KEYS[2], from, '+inf', 'LIMIT', 0, most),
  late,
  redis.call('ZRANGEBYSCORE', KEYS[3], 1, '(' .. cutoff, 'LIMIT', 0, most),
  called,
}
