-- Write and remove entries that are still as they were seen.
-- KEYS: lock, schedule. ARGV: token, seconds that a tombstone stays, meta of a new entry, changes as JSON.
-- A change: {key, seen rev, rev, nominal, definition, schedule, timezone, end}, or {key, seen rev, rev} to remove.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local applied = 0
for _, c in ipairs(cjson.decode(ARGV[4])) do
    local key, rev = c[1], redis.pcall('HGET', c[1], 'rev')
    if type(rev) == 'table' then rev = false end
    if (rev or '') == c[2] then
        applied = applied + 1
        if c[4] then
            if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
            redis.call('HSET', key, 'definition', c[5], 'schedule', c[6], 'timezone', c[7], 'rev', c[3],
                'nominal', c[4], 'end', c[8])
            redis.call('HSETNX', key, 'meta', ARGV[3])
            redis.call('PERSIST', key)
            redis.call('ZADD', KEYS[2], c[4], key)
        else
            -- The tombstone's rev keeps a writer that has read the cron before its end from bringing it back.
            redis.call('ZREM', KEYS[2], key)
            redis.call('DEL', key)
            redis.call('HSET', key, 'rev', c[3])
            redis.call('EXPIRE', key, ARGV[2])
        end
    end
end
return applied
