#!lua
-- Replace stored bytes by others that mean the same, as miniagent_store/rules/rewriting.py says it.
--
-- KEYS   1 the record; then the parts that are known to exist (all of one slot)
-- ARGV   1 msgpack (see schema.py: pack_rewrite): {keys, incarnation, guard: 8 bytes, metadata: {old, new}
--        or false, data_key: the same, runs: {log, first sequence, {{id, old, new}…}}…, values: {name, old, new}…}
-- reply  {how many parts were replaced}, and where there are any, t, m, x or '', fence
--
-- No part gets another expiry: neither LSET, nor HSET on a hash that is there, touches it.

local c = cmsgpack.unpack(ARGV[1])
local K = c.keys
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 't', 'm', 'x', 'f')
local expires = tonumber(got[3] or '')
if not got[1] or not got[2] or (expires and expires <= now) then return {0} end
local record = cmsgpack.unpack(got[2])
if record.incarnation ~= c.incarnation then return {0} end

local function log_key(name)
  if name == 'messages' then return K.thread end
  if name == 'events' then return K.events end
  return K.log .. name
end

-- Elements of a log: version u32, flags u8 (1 redacted, 2 caller id), id 12, time u48, [u16 id, u8 digest]
local function head_of(element)
  if string.byte(element, 5) < 2 then return 23 end
  local id_size = struct.unpack('>H', element, 24)
  return 26 + id_size + string.byte(element, 26 + id_size)
end

-- 1. Look: nothing is written before every part has been read.

local grown, elements, blobs = 0, {}, {}
local bases, counts = {}, {}
for i = 1, #record.logs, 3 do
  bases[record.logs[i]], counts[record.logs[i]] = record.logs[i + 1], record.logs[i + 2]
end
for _, run in ipairs(c.runs) do
  local name, first, wanted = run[1], run[2], run[3]
  local base, count = bases[name] or 0, counts[name] or 0
  local low, high = math.max(first, base + 1), math.min(first + #wanted - 1, base + count)
  local standing = low <= high and redis.call('LRANGE', log_key(name), low - base - 1, high - base - 1) or {}
  for i, element in ipairs(standing) do
    local seq = low + i - 1
    local id, old, new = unpack(wanted[seq - first + 1])
    local head = head_of(element)
    if string.sub(element, 6, 17) == id and string.sub(element, head + 1) == old then
      elements[#elements + 1] = {log_key(name), seq - base - 1, string.sub(element, 1, head) .. new}
      grown = grown + #new - #old
    end
  end
end

-- A value's blob: flags u8 (1 counter), version u32, expiry u64 (0 none), payload.
for _, value in ipairs(c.values) do
  local name, old, new = value[1], value[2], value[3]
  local blob = redis.call('HGET', K.state, name)
  if blob and string.byte(blob, 1) ~= 1 and string.sub(blob, 14) == old then
    blobs[#blobs + 1] = {name, string.sub(blob, 1, 13) .. new}
    grown = grown + #new - #old
  end
end

local replaced = #elements + #blobs
if c.metadata and c.metadata[1] == record.metadata then
  grown = grown + #c.metadata[2] - #record.metadata
  record.metadata = c.metadata[2]
  replaced = replaced + 1
end
if c.data_key and c.data_key[1] == (record.data_key or '') then
  record.data_key = c.data_key[2] ~= '' and c.data_key[2] or nil
  replaced = replaced + 1
end
if replaced == 0 then return {0} end

-- 2. Write. The guard is new, for whoever has a commit ready that holds the old record.

for _, element in ipairs(elements) do redis.call('LSET', element[1], element[2], element[3]) end
for _, blob in ipairs(blobs) do redis.call('HSET', K.state, blob[1], blob[2]) end
record.size = record.size + grown
local token, packed = string.sub(got[1], 1, 16) .. c.guard, cmsgpack.pack(record)
redis.call('HSET', KEYS[1], 't', token, 'm', packed)
return {replaced, token, packed, got[3] or '', tonumber(got[4] or '0')}
