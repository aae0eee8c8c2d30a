#!lua flags=no-writes
-- How far the vector set of a record is.
--
-- KEYS   1 the set · 2 how far it is (HASH) · 3 when which elements expire (ZSET)
-- reply  {at: '' where it is not whole; model; ms that whoever fills it is still waited for, 0 for nobody;
--        how many elements; how many of them expire; of which filling it is}

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local seen = redis.call('HMGET', KEYS[2], 'at', 'model', 'fill', 'until', 'count', 'born')
local count = redis.call('VCARD', KEYS[1])
local at, wait = seen[1] or '', 0
if seen[3] then
  at, wait = '', math.max(tonumber(seen[4] or '0') - now, 0)
elseif tonumber(seen[5] or '0') ~= count then
  -- One was evicted without the other.
  at = ''
end
return {at, seen[2] or '', wait, count, redis.call('ZCARD', KEYS[3]), seen[6] or ''}
