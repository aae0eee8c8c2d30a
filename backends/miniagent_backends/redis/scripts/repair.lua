#!lua flags=allow-oom
-- Tell what is wrong with the parts of a session, and mend it.
--
-- KEYS   1 the record; then the parts that are known to exist (all of one slot)
-- ARGV   1 msgpack {keys, grace: ms that parts are kept longer, longest: ms that they may be at the most,
--        mend, salvage: whether to, token: 24 bytes, epochs: how many the record remembers,
--        version: that the session had when its parts were named}
-- reply  {} where there is no session, {'DAMAGED', part, problem} where the record cannot be read,
--        {'CHANGED'} where it is at another version, else
--        {'OK', the record's row {t, m, x or '', fence} if it was changed or {}, then {sort, part, problem,
--        mended 0|1} for each that is wrong}
--
-- What other parts tell as well is made anew; what is gone is only told of, unless it is to be salvaged: then
-- what is left of a log are its last entries, in a new epoch.

local c = cmsgpack.unpack(ARGV[1])
local K, record_key = c.keys, KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local got = redis.call('HMGET', record_key, 't', 'm', 'x', 'f')
local expires = tonumber(got[3] or '')
if expires and expires <= now then return {} end
if not got[1] and not got[2] and redis.call('EXISTS', record_key) == 0 then return {} end
local readable, record = pcall(cmsgpack.unpack, got[2] or '')
if not got[1] or not readable or type(record) ~= 'table' or not record.logs then
  return {'DAMAGED', 'the record', 'cannot be read'}
end
if record.version ~= c.version then return {'CHANGED'} end

local found, lost = {}, false
local function tell(sort, part, problem, mended)
  found[#found + 1] = {sort, part, problem, mended and 1 or 0}
  if sort == 'lost' then lost = true end
end
local salvage = c.mend and c.salvage

-- Elements of a log: version u32, flags u8 (1 redacted, 2 caller id), id 12, time u48, [u16 id, u8 digest]
local function head_of(element)
  if string.byte(element, 5) < 2 then return 23 end
  local id_size = struct.unpack('>H', element, 24)
  return 26 + id_size + string.byte(element, 26 + id_size)
end
local function log_key(name)
  if name == 'messages' then return K.thread end
  if name == 'events' then return K.events end
  return K.log .. name
end
-- All elements of all logs, some at a time: the log's name, the sequence, the element.
local function each_element(visit)
  for i = 1, #record.logs, 3 do
    local name, base, count = record.logs[i], record.logs[i + 1], record.logs[i + 2]
    for from = 0, count - 1, 500 do
      for at, element in ipairs(redis.call('LRANGE', log_key(name), from, math.min(from + 499, count - 1))) do
        visit(name, base + from + at, element)
      end
    end
  end
end

-- 1. What is there.

local lowest = {}
for i = 1, #record.logs, 3 do
  local name, base, count = record.logs[i], record.logs[i + 1], record.logs[i + 2]
  local there = redis.call('LLEN', log_key(name))
  if there < count then
    tell('lost', "log '" .. name .. "'", 'has lost ' .. (count - there) .. ' of ' .. count .. ' entries', salvage)
    lowest[#lowest + 1], lowest[#lowest + 2] = name, base + 1
    if salvage then record.logs[i + 1], record.logs[i + 2] = base + count - there, there end
  end
end
local values, counters = redis.call('HLEN', K.state), redis.call('HLEN', K.count)
if values ~= record.values then tell('lost', 'its state', 'has lost values', salvage) end
if counters ~= record.counters then tell('lost', 'its counters', 'have lost values', salvage) end
local whole = not lost
local names_wrong = redis.call('ZCARD', K.names) ~= values
if names_wrong and whole then tell('part', 'the names of its state', 'are not those of its values', c.mend) end
local ids_wrong = redis.call('HLEN', K.ids) ~= record.ids
if ids_wrong and whole then
  tell('part', 'the ids of its entries', 'are not those that its entries have', c.mend)
end

-- 2. When it is to vanish.

local kept = expires and redis.call('PEXPIRETIME', record_key) or nil
if kept and (kept < expires or kept > expires + math.max(c.grace, c.longest)) then kept = expires + c.grace end
local keys = {{'the record', record_key}, {'its state', K.state}, {'the names of its state', K.names},
  {'its counters', K.count}, {'the ids of its entries', K.ids}}
for i = 1, #record.logs, 3 do
  keys[#keys + 1] = {"log '" .. record.logs[i] .. "'", log_key(record.logs[i])}
end
for _, each in ipairs(keys) do
  local at = redis.call('PEXPIRETIME', each[2])
  local problem = nil
  if at ~= -2 and not expires then
    if at ~= -1 then problem = 'would vanish, and its session is to stay' end
  elseif at == -1 then problem = 'would stay when its session has expired'
  elseif at ~= -2 and at < expires then problem = 'would vanish before its session'
  -- A key that went to another node has what was left when it went, and so a little more.
  elseif at ~= -2 and at > math.max(kept, expires + c.grace) + 60000 then problem = 'would outlive its session'
  end
  if problem then tell('expiry', each[1], problem, c.mend) end
end
if not c.mend or #found == 0 then return {'OK', {}, unpack(found)} end

-- 3. Mend. The record comes last.

local mended = salvage and lost
local function forget(key, fields)
  for _, field in ipairs(fields) do redis.call('HDEL', key, field) end
end
if mended then
  -- A counter whose number is gone is none, and a number without its counter.
  local without, unnamed = {}, {}
  local stored = redis.call('HGETALL', K.state)
  local is_counter, size = {}, #record.metadata
  for i = 1, #stored, 2 do
    if string.byte(stored[i + 1], 1) == 1 then
      is_counter[stored[i]] = true
      if not redis.call('HGET', K.count, stored[i]) then without[#without + 1] = stored[i] end
    else
      size = size + #stored[i + 1] - 13
    end
  end
  for _, name in ipairs(redis.call('HKEYS', K.count)) do
    if not is_counter[name] then unnamed[#unnamed + 1] = name end
  end
  forget(K.state, without)
  forget(K.count, unnamed)
  each_element(function(_, _, element) size = size + #element - head_of(element) end)
  record.values, record.counters = redis.call('HLEN', K.state), redis.call('HLEN', K.count)
  record.version, record.epoch, record.size = record.version + 1, record.epoch + 1, size
  record.state_version = record.version
  record.resets[#record.resets + 1] = {record.epoch, lowest}
  while #record.resets > c.epochs do table.remove(record.resets, 1) end
end
if mended or (names_wrong and whole) then
  redis.call('DEL', K.names)
  for _, name in ipairs(redis.call('HKEYS', K.state)) do redis.call('ZADD', K.names, 0, name) end
end
local changed = mended
if mended or (ids_wrong and whole) then
  redis.call('DEL', K.ids)
  each_element(function(name, seq, element)
    if string.byte(element, 5) >= 2 then
      local id_size = struct.unpack('>H', element, 24)
      local digest = string.sub(element, 27 + id_size, head_of(element))
      redis.call('HSET', K.ids, name .. '\0' .. string.sub(element, 26, 25 + id_size), struct.pack('>I4', seq) .. digest)
    end
  end)
  record.ids, changed = redis.call('HLEN', K.ids), true
end
for _, each in ipairs(keys) do
  if redis.call('EXISTS', each[2]) == 1 then
    if expires then redis.call('PEXPIREAT', each[2], string.format('%.0f', kept))
    else redis.call('PERSIST', each[2]) end
  end
end
if not changed then return {'OK', {}, unpack(found)} end
local token = mended and c.token or string.sub(got[1], 1, 16) .. string.sub(c.token, 17)
local packed = cmsgpack.pack(record)
redis.call('HSET', record_key, 't', token, 'm', packed)
if mended then redis.call('SPUBLISH', K.notify, record.version) end
return {'OK', {token, packed, got[3] or '', tonumber(got[4] or '0')}, unpack(found)}
