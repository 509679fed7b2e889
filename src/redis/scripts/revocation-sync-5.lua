-- Brings a node up to date with the revocations, and notes how far it was when it asked. Where the sequence has been
-- lost, in whole or in part, a new generation begins: it voids every verdict, so that what was lost need not be known.
-- A server that has started since, or another one, may hold an older copy of everything, and nobody need be left who
-- knows more: so a new generation begins there, too.
-- KEYS[1] sequence, KEYS[2] generation ("token@ms of its beginning"), KEYS[3] log (sorted set: member = "sequence mark
-- target", score = sequence), KEYS[4] nodes (hash: node = "ms generation sequence" of
-- its last sync, "ms - 0" where that was of no worth), KEYS[5] run id of the server on which the generation began
-- ARGV[1] node, ARGV[2] its generation, ARGV[3] its sequence, ARGV[4] mark of its last record, empty where it has none,
-- ARGV[5] token, never used before, for a new generation, ARGV[6] ms after which a silent node is forgotten, ARGV[7] ms
-- without word from any node after which nobody is taken for silent: Redis was away
-- Returns {generation, sequence, first record that is kept, {records after the node's sequence}, run id of this server,
-- empty where it does not tell}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local stamp = string.format('%.0f', now)

for i, kind in ipairs({'string', 'string', 'zset', 'hash', 'string'}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', unpack(KEYS)) end
end

local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
local isOther = server ~= '' and redis.call('GET', KEYS[5]) ~= server
if isOther then redis.call('SET', KEYS[5], server) end

redis.call('SET', KEYS[2], ARGV[5] .. '@' .. stamp, 'NX')
local generation = redis.call('GET', KEYS[2])
local isName = #generation <= 500 and #(string.match(generation, '^[^%s]+@(%d+)$') or string.rep('9', 16)) <= 15
local digits = string.match(redis.call('GET', KEYS[1]) or '0', '^%d+$') or ''
-- Numbers of 16 digits and more are not told apart by those who count in doubles.
local sequence = #digits <= 15 and tonumber(digits) or -1
local known = generation == ARGV[2] and tonumber(ARGV[3]) or 0
local newest = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
local place = ARGV[2] .. ' ' .. ARGV[3]
local same = true
if known > 0 and ARGV[4] ~= '' then
  local record = redis.call('ZRANGEBYSCORE', KEYS[3], known, known, 'LIMIT', 0, 1)[1]
  same = not record or string.match(record, '^%d+ (%S+) ') == ARGV[4]
end
if isOther or not isName or sequence < known or tonumber(newest or '0') > sequence or not same then
  generation = ARGV[5] .. '@' .. stamp
  sequence, known, place = 0, 0, '- 0'
  redis.call('SET', KEYS[2], generation)
  redis.call('DEL', KEYS[1], KEYS[3])
end

local nodes = redis.call('HGETALL', KEYS[4])
local lastWord = 0
for i = 2, #nodes, 2 do
  local at = tonumber(string.match(nodes[i], '^%d+ ')) or 0
  if at <= now then lastWord = math.max(lastWord, at) end
end
local away = now - lastWord > tonumber(ARGV[7]) and now - lastWord or 0
for i = 1, #nodes, 2 do
  local at, rest = string.match(nodes[i + 1], '^(%d+)( .+)$')
  if not at or now - tonumber(at) - away > tonumber(ARGV[6]) then
    redis.call('HDEL', KEYS[4], nodes[i])
  elseif tonumber(at) > now then
    -- From before the clock was set back: heard just now, and of no worth until it is heard again.
    redis.call('HSET', KEYS[4], nodes[i], stamp .. ' - 0')
  elseif away > 0 then
    redis.call('HSET', KEYS[4], nodes[i], string.format('%.0f', tonumber(at) + away) .. rest)
  end
end
redis.call('HSET', KEYS[4], ARGV[1], stamp .. ' ' .. place)

local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
local records = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. known, '+inf')
return {generation, sequence, math.max(0, tonumber(first or '0')), records, server}
