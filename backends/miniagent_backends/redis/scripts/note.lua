#!lua flags=allow-oom
-- Note that a session changed, for who watches a user or the whole store.
--
-- KEYS   1 the bucket (ZSET of sessions by the server's time in microseconds)
-- ARGV   1 the session · 2 the channel to wake · 3 how long changes are kept, in microseconds
-- reply  the time

local clock = redis.call('TIME')
local at = clock[1] * 1000000 + clock[2]
-- Two changes in one microsecond must not share a place: a cursor stands between them.
local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if newest[2] and tonumber(newest[2]) >= at then at = tonumber(newest[2]) + 1 end
redis.call('ZADD', KEYS[1], string.format('%.0f', at), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', at - tonumber(ARGV[3])))
redis.call('PUBLISH', ARGV[2], '')
return string.format('%.0f', at)
