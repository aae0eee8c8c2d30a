#!lua flags=allow-oom
-- Remove a session with all its parts but its turn, whose fence must not go back.
--
-- KEYS   1 the record; then the parts that are known to exist (all of one slot)
-- ARGV   1 msgpack {keys, incarnation: only that one, or false; index: keys of a vector set of it}
-- reply  {0} or {1, m}: whether it was there, and its record

local c = cmsgpack.unpack(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 'm', 'x')
local expires = tonumber(got[2] or '')
if not got[1] or (expires and expires <= now) then return {0} end
local record = cmsgpack.unpack(got[1])
if c.incarnation and c.incarnation ~= record.incarnation then return {0} end
local K = c.keys
local keys = {KEYS[1], K.thread, K.events, K.state, K.names, K.count, K.ids}
for i = 1, #record.logs, 3 do
  local name = record.logs[i]
  if name ~= 'messages' and name ~= 'events' then keys[#keys + 1] = K.log .. name end
end
-- Of others they are never there, and a node that a slot is leaving takes what is not there for moved.
if record.kind == 'memory' then
  for _, name in ipairs(c.index) do keys[#keys + 1] = name end
end
-- Together, so that a node that a slot is on its way to refuses it while some have not come.
redis.call('UNLINK', unpack(keys))
redis.call('SPUBLISH', K.notify, '')
return {1, got[1]}
