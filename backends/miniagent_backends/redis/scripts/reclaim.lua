#!lua flags=allow-oom
-- Remove what is left of a session that has expired, and its turn, if nobody holds it.
--
-- KEYS   1 the record; then the parts that are known to exist (all of one slot)
-- ARGV   1 msgpack {keys, incarnation: only that one; '' for any; index: keys of a vector set of it}
-- reply  how many keys were removed
--
-- A fence is at least the server's time in ms, so that a turn's fences rise even where its last one is gone.

local c = cmsgpack.unpack(ARGV[1])
local K = c.keys
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 'm', 'x')
local turn = redis.call('HMGET', K.turn, 'owner', 'fence', 'until', 'line')
local keys = {KEYS[1], K.thread, K.events, K.state, K.names, K.count, K.ids}
if got[1] then
  local expires = tonumber(got[2] or '')
  if not expires or expires > now then return 0 end
  local record = cmsgpack.unpack(got[1])
  if c.incarnation ~= '' and c.incarnation ~= record.incarnation then return 0 end
  for i = 1, #record.logs, 3 do
    local name = record.logs[i]
    if name ~= 'messages' and name ~= 'events' then keys[#keys + 1] = K.log .. name end
  end
end
for _, name in ipairs(c.index) do keys[#keys + 1] = name end
-- Who stands in line waits on.
local is_free = ((turn[1] or '') == '' or tonumber(turn[3] or '0') <= now) and (turn[4] or '') == ''
if turn[2] and is_free and tonumber(turn[2]) < now then keys[#keys + 1] = K.turn end
return redis.call('UNLINK', unpack(keys))
