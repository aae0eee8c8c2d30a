#!lua flags=allow-oom
-- Renew the expiry of a session and all its parts.
--
-- KEYS   1 the record; then the parts that are known to exist (all of one slot)
-- ARGV   1 msgpack {keys, keep: keep the TTL, ttl: a new one in ms or false, guard: 8 bytes}
-- reply  {} where there is no session, else {t, m, x or '', fence}

local c = cmsgpack.unpack(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 't', 'm', 'x', 'f')
local expires = tonumber(got[3] or '')
if not got[1] or (expires and expires <= now) then return {} end
local record = cmsgpack.unpack(got[2])
if not c.keep then record.ttl = c.ttl end
local x = record.ttl and string.format('%.0f', now + record.ttl) or ''
local token, packed = string.sub(got[1], 1, 16) .. c.guard, cmsgpack.pack(record)
redis.call('HSET', KEYS[1], 't', token, 'm', packed)
local K = c.keys
local parts = {KEYS[1], K.thread, K.events, K.state, K.names, K.count, K.ids}
for i = 1, #record.logs, 3 do
  local name = record.logs[i]
  if name ~= 'messages' and name ~= 'events' then parts[#parts + 1] = K.log .. name end
end
if x == '' then redis.call('HDEL', KEYS[1], 'x') else redis.call('HSET', KEYS[1], 'x', x) end
for _, part in ipairs(parts) do
  if x == '' then redis.call('PERSIST', part) else redis.call('PEXPIREAT', part, x) end
end
return {token, packed, x, tonumber(got[4] or '0')}
