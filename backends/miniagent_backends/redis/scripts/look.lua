#!lua flags=no-writes
-- The record of a session, unless it has expired.
--
-- KEYS   1 the record
-- reply  {} where there is no session, else {t, m, x or '', fence}

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 't', 'm', 'x', 'f')
local expires = tonumber(got[3] or '')
if not got[1] or not got[2] or (expires and expires <= now) then return {} end
return {got[1], got[2], got[3] or '', tonumber(got[4] or '0')}
