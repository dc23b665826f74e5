-- Keep the lock, and stamp who leads, since when and until when: seconds of this server's clock, for whoever looks.
-- KEYS: lock, stamp. ARGV: token, milliseconds, who.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local kept = redis.call('PEXPIRE', KEYS[1], ARGV[2])
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
-- A full Redis may refuse the stamp: the lock does not depend on it.
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then
    redis.pcall('HSET', KEYS[2], 'token', ARGV[1], 'who', ARGV[3], 'since', now)
end
redis.pcall('HSET', KEYS[2], 'at', now)
return kept
