#!lua flags=allow-oom
-- Make the totals of a bucket what its places say, and drop places that stand in no index.
--
-- KEYS   1 the bucket's index (ZSET: session -> last activity)
-- ARGV   1 msgpack {expiry, places, totals} (keys of the same slot) · 2 '' to tell only, else '1'
-- reply  how many are wrong

local K = cmsgpack.unpack(ARGV[1])
local places = redis.call('HGETALL', K.places)
local told = redis.call('HMGET', K.totals, 'messages', 'bytes')
local messages, bytes, wrong, stray = 0, 0, 0, {}
for i = 1, #places, 2 do
  local member = places[i]
  if string.find(member, '\0', 1, true) then
    if not redis.call('ZSCORE', K.expiry, member) then stray[#stray + 1] = member end
  elseif redis.call('ZSCORE', KEYS[1], member) then
    local facts = cmsgpack.unpack(places[i + 1])
    messages, bytes = messages + facts[6], bytes + facts[7]
  else
    stray[#stray + 1] = member
  end
end
local function set(field, was, is)
  if tonumber(was or '0') == is then return end
  wrong = wrong + 1
  if ARGV[2] == '' then return end
  if is == 0 then redis.call('HDEL', K.totals, field)
  else redis.call('HSET', K.totals, field, string.format('%.0f', is)) end
end
for _, member in ipairs(ARGV[2] == '' and {} or stray) do
  redis.call('HDEL', K.places, member)
  redis.call('ZREM', K.expiry, member)
end
set('messages', told[1], messages)
set('bytes', told[2], bytes)
return wrong + #stray
