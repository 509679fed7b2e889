-- Brings a node up to date with the revocations, and notes how far it was when it asked. Where the sequence has been
-- lost, in whole or in part, a new generation begins: it voids every verdict, so that what was lost need not be known.
-- A server that has started since, or another one, may hold an older copy of everything, and nobody need be left who
-- knows more: so a new generation begins there, too. Generations are counted: a node that comes from a later one, or from
-- another one of the same number, has followed another server meanwhile, and what was revoked there is not known here.
-- KEYS: 1 head: "generation sequence mark run", with generation = "token/number@ms of its beginning", the mark of the last
--       record or '-', and the run id of the server on which the generation began or '-'; 2 log (sorted set: member = "sequence mark
--       target", score = sequence); 3 applied (sorted set node -> sequence that it has applied in this generation); 4 heard
--       (sorted set node -> ms of its last sync, and '' -> 0: who finds that missing knows that nodes are, too); 5 reunion:
--       "ms ms ms" of when Redis was back, of the last word from any node before, and how long nobody was heard in all; 6 late
--       (hash node -> "sequence callers names": its callers that have not applied this one, how many, and what they are called)
-- ARGV: 1 node; 2 its generation, 3 its sequence, 4 mark of its last record, empty where it has none; 5 token, never used
--       before, for a new generation; 6 ms after which a silent node is forgotten; 7 ms without word from any node after
--       which nobody is taken for silent: Redis was away; 8 records at most; 9 the sequence that its callers have applied, too,
--       but for those that are late, -1 where they do not know the generation yet; 10 those that are late, empty for none. Of a
--       caller that signs: 5 is empty; 11 the name that it has signed of the generation that begins, empty for none; 12 the head in
--       whose place it begins, whatever is wrong with it
-- Returns: {generation, sequence, first record that is kept, {records after the node's sequence}, run id of this server or
--       '-', head, nodes, ms of now}. Where a new generation is to begin and there is neither 5 nor the right 12, the log stays as it
--       is, and the first is empty
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local stamp = string.format('%.0f', now)

local function number(name)
  local digits = string.match(name or '', '/(%d+)@%d+$')
  return digits and #digits <= 15 and tonumber(digits) or 0
end

local function read()
  return {
    redis.pcall('GET', KEYS[1]),
    redis.pcall('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES'),
    redis.pcall('ZSCORE', KEYS[3], ARGV[1]),
    redis.pcall('ZREVRANGEBYSCORE', KEYS[4], now, 1, 'WITHSCORES', 'LIMIT', 0, 1),
    redis.pcall('GET', KEYS[5]),
    redis.pcall('HEXISTS', KEYS[6], ARGV[1]),
  }
end
local found = read()
for _, value in ipairs(found) do
  -- A key of another type.
  if type(value) == 'table' and value.err then
    redis.call('DEL', unpack(KEYS))
    found = read()
    break
  end
end
local head, last, applied, word, reunion, isLate = unpack(found)

local gap = tonumber(string.match(reunion or '', '^%d+ %d+ (%d+)$')) or 0
local lost = redis.call('ZRANGEBYSCORE', KEYS[4], 1, now - tonumber(ARGV[6]) - gap, 'LIMIT', 0, 100)
-- Removals come first, and be it of nothing: what follows them is then done although Redis may be full.
redis.call('ZREM', KEYS[3], '', unpack(lost))
if #lost > 0 then
  redis.call('ZREM', KEYS[4], unpack(lost))
  redis.call('HDEL', KEYS[6], unpack(lost))
end

local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or '-'
local generation, began, digits, mark, ran = string.match(head or '', '^(%S+@(%d+)) (%d+) (%S+) (%S+)$')
-- Numbers of 16 digits and more are not told apart by those who count in doubles.
local isName = generation and #generation <= 500 and #began <= 15
local sequence = isName and #digits <= 15 and tonumber(digits) or -1
local known = generation == ARGV[2] and tonumber(ARGV[3]) or 0
local newest = tonumber(last[2] or '0')
local same = true
if known > 0 and ARGV[4] ~= '' then
  if known == sequence then
    same = mark == ARGV[4]
  else
    local record = redis.call('ZRANGEBYSCORE', KEYS[2], known, known, 'LIMIT', 0, 1)[1]
    same = not record or string.match(record, '^%d+ (%S+) ') == ARGV[4]
  end
end
local isOther = run ~= '-' and run ~= ran
local here, there = number(generation), number(ARGV[2])
local isOlder = there > 0 and here <= there and generation ~= ARGV[2]
local isComplete = redis.call('ZSCORE', KEYS[4], '')
local isLost = isOther or isOlder or not isComplete or sequence < known or newest > sequence or not same
local begins = (ARGV[11] or '') ~= '' and (head or '') == ARGV[12]
if isLost and not begins and ARGV[5] == '' then
  return {'', 0, 0, {}, run, head or '', 0, now}
end
if isLost or begins then
  local following = string.format('%s/%.0f@%s', ARGV[5], math.max(here, there) + 1, stamp)
  generation = begins and ARGV[11] or following
  sequence, known = 0, 0
  head = generation .. ' 0 - ' .. run
  redis.call('SET', KEYS[1], head)
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[6])
  redis.call('ZADD', KEYS[4], 0, '')
elseif generation == ARGV[2] then
  local confirmed = tonumber(ARGV[9])
  if confirmed < 0 then
    redis.call('ZREM', KEYS[3], ARGV[1])
  elseif tonumber(applied or '-1') ~= confirmed then
    redis.call('ZADD', KEYS[3], confirmed, ARGV[1])
  end
  if ARGV[10] ~= '' then
    redis.call('HSET', KEYS[6], ARGV[1], ARGV[10])
  elseif isLate == 1 then
    redis.call('HDEL', KEYS[6], ARGV[1])
  end
else
  if applied then redis.call('ZREM', KEYS[3], ARGV[1]) end
  if isLate == 1 then redis.call('HDEL', KEYS[6], ARGV[1]) end
end

local lastWord = tonumber(word[2])
if lastWord and now - lastWord > tonumber(ARGV[7]) then
  reunion = string.format('%.0f %.0f %.0f', now, lastWord, gap + now - lastWord)
  redis.call('SET', KEYS[5], reunion, 'PX', ARGV[6])
end
-- From before the clock was set back: heard just now, and of no worth until they are heard again.
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. stamp, '+inf', 'LIMIT', 0, 100)) do
  redis.call('ZADD', KEYS[4], now, node)
  if node ~= ARGV[1] then redis.call('ZREM', KEYS[3], node) end
end
redis.call('ZADD', KEYS[4], now, ARGV[1])

local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local records = {}
if known < sequence then
  records = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. known, '+inf', 'LIMIT', 0, ARGV[8])
end
return {generation, sequence, math.max(0, tonumber(first or '0')), records, run, head, redis.call('ZCARD', KEYS[4]) - 1, now}
