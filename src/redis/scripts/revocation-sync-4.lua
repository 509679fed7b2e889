-- Brings a node up to date with the revocations, and notes how far it was when it asked.
-- KEYS[1] sequence, KEYS[2] generation, KEYS[3] log, KEYS[4] nodes (hash: node = "ms generation sequence")
-- ARGV[1] node, ARGV[2] its generation, ARGV[3] its sequence, ARGV[4] generation to begin with where there is none or
-- where the sequence has been lost, ARGV[5] ms after which a silent node is forgotten
-- Returns {generation, sequence, first record that is kept, {records after the node's sequence}}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('SET', KEYS[2], ARGV[4], 'NX')
local sequence = tonumber(redis.call('GET', KEYS[1]) or '0')
local generation = redis.call('GET', KEYS[2])
if generation == ARGV[2] and tonumber(ARGV[3]) > sequence then
  generation = ARGV[4]
  redis.call('SET', KEYS[2], generation)
end
redis.call('HSET', KEYS[4], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
local nodes = redis.call('HGETALL', KEYS[4])
for i = 1, #nodes, 2 do
  if now - tonumber(string.match(nodes[i + 1], '^%d+')) > tonumber(ARGV[5]) then redis.call('HDEL', KEYS[4], nodes[i]) end
end
local after = generation == ARGV[2] and tonumber(ARGV[3]) or 0
local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
return {generation, sequence, tonumber(first[2] or '0'),
  redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. after, '+inf')}
