-- How entries stand: {rev, nominal, score} of each key, false for what is not there.
-- KEYS: schedule. ARGV: keys...
local found = {}
for i = 1, #ARGV do
    local f = redis.pcall('HMGET', ARGV[i], 'rev', 'nominal')
    if f.err then f = {false, false} end
    found[i] = {f[1], f[2], redis.call('ZSCORE', KEYS[1], ARGV[i])}
end
return #found == 0 and '[]' or cjson.encode(found)
