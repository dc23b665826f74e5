-- Keep the lock, and stamp who leads, since when and until when: seconds of this server's clock, for whoever looks.
-- KEYS: lock, stamp. ARGV: token, milliseconds, who.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then
    redis.call('HSET', KEYS[2], 'token', ARGV[1], 'who', ARGV[3], 'since', now)
end
redis.call('HSET', KEYS[2], 'at', now)
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
