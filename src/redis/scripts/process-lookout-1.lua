-- One of many processes looks at something for all of them: the others hear what it found.
-- KEYS: 1 "process found": who looks, and what it found
-- ARGV: 1 this process, 2 for how long its duty holds (ms), 0 to give it up, 3 what it found, empty before it has looked
-- Returns: {1 where it is this process that looks, what was found, empty where that is not known}
local holder, found = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (.*)$')
if holder and holder ~= ARGV[1] then return {0, found} end
-- A removal first: what follows it is then done although Redis may be full.
redis.call('DEL', KEYS[1])
if ARGV[2] == '0' then return {0, ''} end
if ARGV[3] ~= '' then found = ARGV[3] end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. (found or ''), 'PX', ARGV[2])
return {1, found or ''}
