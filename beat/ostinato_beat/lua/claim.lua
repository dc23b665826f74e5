-- What is due, oldest first, and when the next entry will be. Changes nothing but the time of this look.
-- KEYS: lock, schedule, stamp. ARGV: token, now, offset, limit.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local time = redis.call('TIME')
-- A full Redis may refuse it: nothing depends on it.
redis.pcall('HSET', KEYS[3], 'at', time[1] .. '.' .. string.format('%06d', time[2]))
local due = redis.call('ZRANGEBYSCORE', KEYS[2], 0, ARGV[2], 'WITHSCORES', 'LIMIT', ARGV[3], ARGV[4])
local found = {}
for i = 1, #due, 2 do
    -- A key that is no hash must not stop its neighbours.
    local f = redis.pcall('HMGET', due[i], 'rev', 'nominal', 'schedule', 'timezone', 'end')
    if f.err then f = {false, false, false, false, false} end
    found[#found + 1] = {due[i], due[i + 1], f[1], f[2], f[3], f[4], f[5]}
end
local later = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {#found == 0 and '[]' or cjson.encode(found), later[2] or ''}
