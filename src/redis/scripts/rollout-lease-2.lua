-- Takes the lease of the controller, or keeps it, or gives it back. Each owner after another one has a higher epoch.
-- KEYS: 1 lease: `epoch owner`; 2 state: hash with epoch
-- ARGV: 1 who asks; 2 for how long (ms); 0 gives it back
-- Returns: {epoch, owner}; epoch 0 where nobody has it
local epoch, owner = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (.*)$')
if ARGV[2] == '0' then
  if owner == ARGV[1] then redis.call('DEL', KEYS[1]) end
  return {0, ''}
end
if owner == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif not owner then
  epoch, owner = redis.call('HINCRBY', KEYS[2], 'epoch', 1), ARGV[1]
  redis.call('SET', KEYS[1], epoch .. ' ' .. owner, 'PX', ARGV[2])
end
return {tonumber(epoch), owner}
