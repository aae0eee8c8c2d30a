#!lua flags=allow-oom
-- Renew the expiry of a session and all its parts.
--
-- KEYS   1 the record; then the parts that are known to exist (all of one slot)
-- ARGV   1 msgpack {keys, keep: keep the TTL, ttl: a new one in ms or false, guard: 8 bytes,
--        grace: ms that the parts are kept longer}
-- reply  {} where there is no session, {'DAMAGED', part, problem}, else {t, m, x or '', fence}
--
-- Nothing is written before all parts are there: on a node that a slot is on its way to, some have not come.

local c = cmsgpack.unpack(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 't', 'm', 'x', 'f')
local expires = tonumber(got[3] or '')
if not got[1] or (expires and expires <= now) then return {} end
local record = cmsgpack.unpack(got[2])
local K = c.keys
local parts = {}
local function part(name, key, count)
  if count > 0 then parts[#parts + 1] = {name, key} end
end
for i = 1, #record.logs, 3 do
  local name = record.logs[i]
  local key = name == 'messages' and K.thread or name == 'events' and K.events or K.log .. name
  part("log '" .. name .. "'", key, record.logs[i + 2])
end
part('its state', K.state, record.values)
part('its state', K.names, record.values)
part('its counters', K.count, record.counters)
part('the ids of its entries', K.ids, record.ids)
for _, each in ipairs(parts) do
  if redis.call('EXISTS', each[2]) == 0 then return {'DAMAGED', each[1], 'is gone'} end
end

if not c.keep then record.ttl = c.ttl end
local x = record.ttl and string.format('%.0f', now + record.ttl) or ''
local kept = record.ttl and string.format('%.0f', now + record.ttl + c.grace)
local token, packed = string.sub(got[1], 1, 16) .. c.guard, cmsgpack.pack(record)
redis.call('HSET', KEYS[1], 't', token, 'm', packed)
if x == '' then redis.call('HDEL', KEYS[1], 'x') else redis.call('HSET', KEYS[1], 'x', x) end
parts[#parts + 1] = {'the record', KEYS[1]}
for _, each in ipairs(parts) do
  if x == '' then redis.call('PERSIST', each[2]) else redis.call('PEXPIREAT', each[2], kept) end
end
return {token, packed, x, tonumber(got[4] or '0')}
