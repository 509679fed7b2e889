-- Appends a revocation to the mesh-wide sequence. Where the log is not what it was, or another run of the server holds it, a
-- new generation begins with it (see revocation-sync): its number may have been another revocation's before.
-- KEYS: 1 head, 2 log, 3 applied, 4 heard, 5 late (see revocation-sync)
-- ARGV: 1 target as JSON, 2 token, never used before: the record's mark, and the name of a generation that begins, 3 records
--       to keep, 4 the caller's generation: one that begins has a higher number; 5 the head behind which alone the record fits, since
--       its caller has signed that it does; empty for any
-- Returns: {generation, sequence, ms of now, ms of the generation's beginning, head}; sequence 0 where the head is another one, and
--       nothing has changed
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or '-'

local head = redis.pcall('GET', KEYS[1])
local generation, began, digits, ran = string.match(type(head) == 'string' and head or '', '^(%S+@(%d+)) (%d+) %S+ (%S+)$')
local isWhole = generation and #generation <= 500 and #began <= 15 and #digits <= 15 and (run == '-' or run == ran)
local sequence = isWhole and tonumber(digits) or 0
local newest = redis.pcall('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
isWhole = isWhole and not newest.err and tonumber(newest[2] or '0') <= sequence
if ARGV[5] ~= '' and not (isWhole and head == ARGV[5]) then return {'', 0, now, 0, ''} end
if not isWhole then
  began = string.format('%.0f', now)
  local function number(name)
    local digits = string.match(name or '', '/(%d+)@%d+$')
    return digits and #digits <= 15 and tonumber(digits) or 0
  end
  local following = math.max(number(generation), number(ARGV[4])) + 1
  generation, sequence = string.format('%s/%.0f@%s', ARGV[2], following, began), 0
end

sequence = sequence + 1
local words = string.format('%s %.0f %s %s', generation, sequence, ARGV[2], run)
-- Refused where there is no memory for it, before anything has changed.
redis.call('SET', KEYS[1], words)
if not isWhole then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[5])
  redis.pcall('ZADD', KEYS[4], 0, '')
end
redis.call('ZADD', KEYS[2], sequence, string.format('%.0f %s %s', sequence, ARGV[2], ARGV[1]))
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[3]))
-- Who is that far has applied another revocation of this number.
redis.pcall('ZREMRANGEBYSCORE', KEYS[3], sequence, '+inf')
return {generation, sequence, now, tonumber(began), words}
