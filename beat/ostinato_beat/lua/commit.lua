-- Send messages, then move, park or remove the entries that are still as they were claimed: one atomic step.
-- KEYS: lock, schedule, queue, late queue.
-- ARGV: token, limit of the late queue, number of on-time messages, moves as JSON, messages...
-- A move: {key, claimed score, claimed rev, 'move' | 'park' | 'remove', new time}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end

-- Messages first: a repeat is dropped by the ledger, a loss is not. As the first write it also makes a full Redis
-- refuse all or nothing.
local function push(queue, first, last)
    for i = first, last, 7000 do
        redis.call('LPUSH', queue, unpack(ARGV, i, math.min(i + 6999, last)))
    end
end
local on_time = tonumber(ARGV[3])
push(KEYS[3], 5, 4 + on_time)
-- What the late queue has no room for stays `due` in the ledger: the sweep sends it.
if #ARGV > 4 + on_time and redis.call('LLEN', KEYS[4]) < tonumber(ARGV[2]) then
    push(KEYS[4], 5 + on_time, #ARGV)
end

local moved = 0
for _, m in ipairs(cjson.decode(ARGV[4])) do
    local key, score, rev = m[1], redis.call('ZSCORE', KEYS[2], m[1]), redis.pcall('HGET', m[1], 'rev')
    if type(rev) == 'table' then rev = false end
    if score == m[2] and (rev or '') == m[3] then
        moved = moved + 1
        if m[4] == 'move' then
            redis.call('ZADD', KEYS[2], m[5], key)
            redis.call('HSET', key, 'nominal', m[5])
        elseif m[4] == 'park' then
            redis.call('ZADD', KEYS[2], -1, key)
        else
            redis.call('ZREM', KEYS[2], key)
            redis.call('DEL', key)
            redis.call('HSET', key, 'rev', m[3])
            redis.call('EXPIRE', key, m[5])
        end
    end
end
return moved
