-- Keep the lock, and stamp who leads and since when, by this server's clock, for whoever looks.
-- KEYS: lock, stamp. ARGV: token, milliseconds, who.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local kept = redis.call('PEXPIRE', KEYS[1], ARGV[2])
-- A full Redis may refuse the stamp: the lock does not depend on it.
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then
    redis.pcall('HSET', KEYS[2], 'token', ARGV[1], 'who', ARGV[3], 'since', redis.call('TIME')[1])
end
return kept
