#!lua
-- Put a cached value in the place of another, and leave its TTL.
--
-- KEYS   1 the cached value
-- ARGV   1 the old one · 2 the new one
-- reply  1, or 0 if it is not the old one

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
