#!lua
-- One commit on one session, as miniagent_store/rules/commit.py says it.
--
-- KEYS   1 the record; then the parts that are known to exist (all of one slot)
-- ARGV   1 the commit, in msgpack (see schema.py: pack_commit)
-- reply  {'OK', t, m, x or '', fence, outcome, replayed 0|1, created 0|1, the writer's outcomes if applied}
--        {'NOTFOUND'} {'EXISTS'} {'UNKNOWN', why} {'ARGUMENT', text} {'FENCED', current} {'LOST'}
--        {'VERSION', expected, actual} {'REPLACED'} {'IDEMPOTENCY', log, id, sequence or false, digest}
--        {'TOOLARGE', size, limit} {'STATETYPE', name, problem} {'DAMAGED', part, problem}
--
-- Nothing is written before everything holds. The record's HSET comes last and is the commit point: what
-- a script leaves that is stopped before it, is beyond the record's counts, and is cut by the next commit.
-- Times are milliseconds of this server's clock.

local c = cmsgpack.unpack(ARGV[1])
local record_key = KEYS[1]
local K, writer, counter, not_after = c.keys, c.writer, c.counter, c.not_after
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

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

local function id_field(log, element)
  if string.byte(element, 5) < 2 then return nil end
  local size = struct.unpack('>H', element, 24)
  return log .. '\0' .. string.sub(element, 26, 25 + size)
end

-- 1. Look.

local got = redis.call('HMGET', record_key, 't', 'm', 'x', 'f', 'w:' .. writer)
local expires = tonumber(got[3] or '')
local there = got[1] and got[2] and not (expires and expires <= now)
local record = there and cmsgpack.unpack(got[2]) or nil
local window = there and got[5] and cmsgpack.unpack(got[5]) or nil

if window then
  for i = 2, #window do
    if window[i][1] == counter then
      -- A write, so that a WAIT behind it is honest.
      redis.call('HSET', record_key, 'f', got[4] or '0')
      return {'OK', got[1], got[2], got[3] or '', tonumber(got[4] or '0'), cmsgpack.pack(window[i]), 1, 0}
    end
  end
  if #window > c.window and counter < window[2][1] then
    return {'UNKNOWN', 'it is older than the outcomes that are remembered'}
  end
end
if now > not_after then
  return {'UNKNOWN', 'it came after its not-after, and no outcome is remembered'}
end
if not_after > now + 32000 then
  return {'ARGUMENT', 'a commit id is good for 30 s at most; see that the clocks agree'}
end

local create = c.create
local turn = redis.call('HMGET', K.turn, 'owner', 'fence', 'until', 'line')
local fence = tonumber(got[4] or '0')
if not there then
  if not create then return {'NOTFOUND'} end
  if c.retry then
    return {'UNKNOWN', 'an earlier try is in doubt and there is no session, which may have been deleted since'}
  end
  fence = tonumber(turn[2] or '0')
  record = {kind = create.kind, user = create.user, agent = create.agent, tags = create.tags,
    created = c.time, active = c.time, ttl = create.ttl, sliding = create.sliding, version = 0, epoch = 0,
    incarnation = create.incarnation, metadata = create.metadata, logs = {}, size = #create.metadata,
    resets = {}, state_version = 0, metadata_version = 0, values = 0, counters = 0, ids = 0,
    data_key = create.data_key or nil}
elseif c.retry and record.created > c.time then
  -- The first try may have been applied to a session that was deleted since; this one never saw it.
  return {'UNKNOWN', 'an earlier try is in doubt, and the session was created after it'}
elseif create and not create.keep then
  return {'EXISTS'}
end

local expected = c.expected
if expected then
  if expected.incarnation and not (there and expected.incarnation == record.incarnation) then
    return {'REPLACED'}
  end
  if expected.version and expected.version ~= record.version then
    return {'VERSION', 'version ' .. expected.version, 'version ' .. record.version}
  end
  if expected.token and not (there and expected.token == string.sub(got[1], 1, 16)) then
    return {'VERSION', 'the same commit', 'another commit of the same version'}
  end
end

-- The logs as an overlay: what is kept of the list, what is put in the place of kept elements, what is added.
local logs, names = {}, {}
for i = 1, #record.logs, 3 do
  local name, base, count = record.logs[i], record.logs[i + 1], record.logs[i + 2]
  names[#names + 1] = name
  logs[name] = {base = base, count = count, first = base + 1, low = base + 1, high = base + count,
    listed = count, added = {}, put = {}, touched = false}
end
local function log_of(name)
  if not logs[name] then
    names[#names + 1] = name
    logs[name] = {base = 0, count = 0, first = 1, low = 1, high = 0, listed = 0, added = {}, put = {},
      touched = false, new = true}
  end
  return logs[name]
end

for _, tail in ipairs(c.tails) do
  local log = logs[tail[1]]
  local last = log and log.base + log.count or 0
  if not there or tail[2] ~= record.incarnation or tail[3] ~= record.epoch or tail[4] ~= last then
    return {'VERSION', "log '" .. tail[1] .. "' to end at " .. tail[4] .. ' in epoch ' .. tail[3],
      'its end at ' .. last .. ' in epoch ' .. record.epoch}
  end
end

if c.fence and c.fence[2] then
  if fence > c.fence[1] then return {'FENCED', fence} end
  if tonumber(turn[2] or '0') > c.fence[1] then return {'FENCED', tonumber(turn[2])} end
  if turn[1] ~= c.fence[2] or tonumber(turn[3] or '0') <= now then return {'LOST'} end
  fence = c.fence[1]
elseif c.fence then
  if (record.lock_fence or 0) > c.fence[1] then return {'FENCED', record.lock_fence} end
  record.lock_fence = c.fence[1]
end

if there and create and c.nothing then
  return {'OK', got[1], got[2], got[3] or '', tonumber(got[4] or '0'),
    cmsgpack.pack({counter, record.version, {}, {}, {}}), 0, 0}
end

if there then
  for _, name in ipairs(names) do
    if redis.call('LLEN', log_key(name)) < logs[name].listed then
      return {'DAMAGED', "log '" .. name .. "'", 'has lost entries'}
    end
  end
  if redis.call('HLEN', K.state) ~= record.values or redis.call('ZCARD', K.names) ~= record.values then
    return {'DAMAGED', 'its state', 'has lost values'}
  end
  if redis.call('HLEN', K.count) ~= record.counters then
    return {'DAMAGED', 'its counters', 'have lost values'}
  end
  if redis.call('HLEN', K.ids) ~= record.ids then
    return {'DAMAGED', 'the ids of its entries', 'are not what the record counts'}
  end
end

local version = record.version + 1
local version_bytes = struct.pack('>I4', version)
local grown, lowest, changed, sequences = 0, {}, false, {}
-- Callers' ids: false where one is gone, else sequence and digest.
local ids = {}

local function changed_at(name, seq)
  changed = true
  lowest[name] = math.min(lowest[name] or seq, seq)
end

local function element_at(name, log, seq)
  if seq > log.high then return log.added[seq - log.added_first + 1].element end
  return log.put[seq] or redis.call('LINDEX', log_key(name), seq - log.first)
end

local function gone(name, element)
  grown = grown - (#element - head_of(element))
  local field = id_field(name, element)
  if field then ids[field] = false end
end

local function append(name, entries)
  if #entries == 0 then return end
  local log = log_of(name)
  log.touched = true
  for _, entry in ipairs(entries) do
    local rest, id, digest = entry[1], entry[2], entry[3] or ''
    local seq, standing = nil, nil
    if id then
      local field = name .. '\0' .. id
      if ids[field] == nil then
        -- What stands there without a record is left from a session whose record is gone.
        local stored = there and redis.call('HGET', K.ids, field)
        ids[field] = stored and {struct.unpack('>I4', stored), string.sub(stored, 5)} or false
      end
      standing = ids[field]
      if standing then
        if standing[#standing] ~= digest then
          -- One that this commit itself has added does not stand once the commit is refused.
          if #log.added > 0 and standing[1] >= log.added_first then return {'IDEMPOTENCY', name, id, false, ''} end
          return {'IDEMPOTENCY', name, id, standing[1], standing[2]}
        end
        seq = standing[1]
      end
    end
    if not seq then
      log.count = log.count + 1
      seq = log.base + log.count
      if #log.added == 0 then log.added_first = seq end
      local element = version_bytes .. rest
      log.added[#log.added + 1] = {element = element}
      grown = grown + #element - head_of(element)
      if id then ids[name .. '\0' .. id] = {seq, digest} end
    end
    sequences[#sequences + 1] = seq
  end
end

-- Drop sequences low..high, which are at the one or the other end of what stands.
local function drop(name, log, low, high)
  log.touched = true
  local listed_high = math.min(high, log.high)
  local from = math.max(low, log.low)
  if from <= listed_high then
    local elements = redis.call('LRANGE', log_key(name), from - log.first, listed_high - log.first)
    if #elements ~= listed_high - from + 1 then return {'DAMAGED', "log '" .. name .. "'", 'has lost entries'} end
    for i, element in ipairs(elements) do gone(name, log.put[from + i - 1] or element) end
    if high >= log.high then log.high = from - 1 else log.low = listed_high + 1 end
  end
  if #log.added > 0 then
    local kept, first = {}, nil
    for i, item in ipairs(log.added) do
      local seq = log.added_first + i - 1
      if seq >= low and seq <= high then
        gone(name, item.element)
      else
        first = first or seq
        kept[#kept + 1] = item
      end
    end
    log.added, log.added_first = kept, first
  end
  changed_at(name, low)
end

local function truncate(name, upto)
  local log = logs[name] or {base = 0, count = 0}
  local last = log.base + log.count
  if upto > last then
    return {'ARGUMENT', "log '" .. name .. "' ends at " .. last .. '; it cannot be written from '
      .. (upto + 1) .. ', which would leave a hole'}
  end
  upto = math.max(upto, log.base)
  if upto < last then
    local problem = drop(name, log, upto + 1, last)
    log.count = upto - log.base
    return problem
  end
end

local function trim(name, before)
  local log = logs[name]
  if not log then return end
  local last = log.base + log.count
  local high = math.min(before - 1, last)
  if high > log.base then
    local problem = drop(name, log, log.base + 1, high)
    log.low = math.max(log.low, high + 1)
    log.base, log.count = high, last - high
    return problem
  end
end

local function redact(name, seq, id, payload)
  local log = logs[name] or {base = 0, count = 0}
  if seq <= log.base or seq > log.base + log.count then
    return {'ARGUMENT', 'there is no entry ' .. seq .. " in log '" .. name .. "' (it holds "
      .. (log.base + 1) .. ' to ' .. (log.base + log.count) .. ')'}
  end
  local element = element_at(name, log, seq)
  if string.sub(element, 6, 17) ~= id then
    return {'VERSION', 'entry ' .. seq .. " of log '" .. name .. "' to be what it was", 'another'}
  end
  local head = head_of(element)
  local flags = string.byte(element, 5)
  local new = string.sub(element, 1, 4) .. string.char(flags % 2 == 0 and flags + 1 or flags)
    .. string.sub(element, 6, head) .. payload
  grown = grown + #payload - (#element - head)
  log.touched = true
  if seq > log.high then log.added[seq - log.added_first + 1].element = new else log.put[seq] = new end
  changed_at(name, seq)
end

local function last_seq_at(name, log, limit)
  if #log.added > 0 and version <= limit then return log.base + log.count end
  local low, high = math.max(log.low, log.base + 1), log.high
  while low <= high do
    local middle = math.floor((low + high) / 2)
    if struct.unpack('>I4', element_at(name, log, middle)) <= limit then low = middle + 1 else high = middle - 1 end
  end
  return high
end

local function rewind(to)
  local log = logs['messages'] or {base = 0, count = 0}
  if to ~= 0 and (to <= log.base or to > log.base + log.count) then
    return {'ARGUMENT', 'there is no message ' .. to .. ' to go back to (it holds ' .. (log.base + 1)
      .. ' to ' .. (log.base + log.count) .. '; 0 is before the first)'}
  end
  local limit = to == 0 and 0 or (struct.unpack('>I4', element_at('messages', log, to)))
  for _, name in ipairs(names) do
    local upto = name == 'messages' and to or last_seq_at(name, logs[name], limit)
    local problem = truncate(name, upto)
    if problem then return problem end
  end
end

for _, change in ipairs(c.changes) do
  local kind, problem = change[1], nil
  if kind == 'A' then problem = append(change[2], change[3])
  elseif kind == 'T' then problem = truncate(change[2], change[3])
  elseif kind == 'B' then problem = trim(change[2], change[3])
  elseif kind == 'R' then problem = redact(change[2], change[3], change[4], change[5])
  elseif kind == 'W' then problem = rewind(change[2])
  else
    for _, name in ipairs(names) do
      problem = trim(name, logs[name].base + logs[name].count + 1)
      if problem then return problem end
    end
  end
  if problem then return problem end
end

-- State as an overlay: by name {stood, present, version, expires, payload or counter, weight}.
local state, kept_out, counters = {}, {}, {}
local function value_of(name)
  local value = state[name]
  if value then return value end
  local stored = there and redis.call('HGET', K.state, name)
  if stored then
    local _, flags, at, until_ms = nil, struct.unpack('>BI4I8', stored)
    value = {stood = true, present = true, version = at, expires = until_ms, weight = #stored - 13}
    if flags == 1 then
      value.counter = redis.call('HGET', K.count, name)
      value.was_counter = true
    end
  else
    value = {stood = false, present = false, expires = 0, weight = 0}
  end
  state[name] = value
  return value
end
local function is_live(value) return value.present and (value.expires == 0 or value.expires > now) end
local function holds(change, value, if_version, required)
  if not if_version then return true end
  local at = is_live(value) and value.version or 0
  if at == if_version then return true end
  if required then
    local wanted = if_version == 0 and 'absent' or 'at version ' .. if_version
    return false, {'VERSION', "state '" .. change .. "' " .. wanted, at == 0 and 'it absent' or 'it at version ' .. at}
  end
  kept_out[#kept_out + 1] = change
  return false
end

-- int64 as two numbers of nine digits and the rest: a number in Lua loses what is above 2^53.
local function parse_int(text)
  local sign = 1
  if string.sub(text, 1, 1) == '-' then sign, text = -1, string.sub(text, 2) end
  local low = tonumber(string.sub(text, -9))
  local high = tonumber(#text > 9 and string.sub(text, 1, -10) or '0')
  return sign * high, sign * low
end
local function add_ints(one, other)
  local high_one, low_one = parse_int(one)
  local high_other, low_other = parse_int(other)
  local high, low = high_one + high_other, low_one + low_other
  if low >= 1e9 then high, low = high + 1, low - 1e9 elseif low <= -1e9 then high, low = high - 1, low + 1e9 end
  if high > 0 and low < 0 then high, low = high - 1, low + 1e9
  elseif high < 0 and low > 0 then high, low = high + 1, low - 1e9 end
  if high > 9223372036 or (high == 9223372036 and low > 854775807) then return nil end
  if high < -9223372036 or (high == -9223372036 and low < -854775808) then return nil end
  if high == 0 then return string.format('%.0f', low) end
  return string.format('%.0f%09.0f', high, math.abs(low))
end

for _, change in ipairs(c.state) do
  local kind, name = change[1], change[2]
  if kind == 'S' then
    local value = value_of(name)
    local ok, problem = holds(name, value, change[5], change[6])
    if problem then return problem end
    if ok then
      grown = grown + #change[3] - (value.present and value.weight or 0)
      value.present, value.version, value.payload, value.counter = true, version, change[3], nil
      value.weight, value.expires = #change[3], change[4] and now + change[4] or 0
      value.written = true
    end
  elseif kind == 'D' then
    local value = value_of(name)
    local ok, problem = holds(name, value, change[3], change[4])
    if problem then return problem end
    if ok then
      if not is_live(value) then kept_out[#kept_out + 1] = name end
      if value.present then
        grown = grown - value.weight
        value.present, value.weight = false, 0
      end
    end
  elseif kind == 'P' then
    local found = there and redis.call('ZRANGEBYLEX', K.names, name == '' and '-' or '[' .. name,
      name == '' and '+' or '(' .. name .. '\255') or {}
    for _, each in ipairs(found) do value_of(each) end
    for each, value in pairs(state) do
      if value.present and string.sub(each, 1, #name) == name then
        grown = grown - value.weight
        value.present, value.weight = false, 0
      end
    end
  else
    local value = value_of(name)
    local live = is_live(value)
    if live and not value.counter then
      return {'STATETYPE', name, 'not a counter; delete it before adding to it'}
    end
    local total = add_ints(live and value.counter or '0', change[3])
    if not total then return {'STATETYPE', name, 'the counter would leave the range of int64'} end
    if not live then
      grown = grown - (value.present and value.weight or 0)
      value.expires = 0
    end
    value.present, value.version, value.payload, value.counter = true, version, nil, total
    value.weight, value.written = 0, true
    counters[#counters + 1] = total
  end
end

local size = record.size + grown
if c.metadata then size = size + #c.metadata - #record.metadata end
if c.max_size and record.kind == 'session' and size > c.max_size and size > (there and record.size or 0) then
  return {'TOOLARGE', size, c.max_size}
end

-- 2. Write. What a record that expired or was evicted has left goes first.

if not there then
  redis.call('DEL', record_key, K.thread, K.events, K.state, K.names, K.count, K.ids)
  if got[2] then
    local old = cmsgpack.unpack(got[2])
    for i = 1, #old.logs, 3 do redis.call('DEL', log_key(old.logs[i])) end
  end
end

local flat = {}
for _, name in ipairs(names) do
  local log = logs[name]
  if log.touched then
    local key = log_key(name)
    if not there and not (name == 'messages' or name == 'events') then redis.call('DEL', key) end
    if log.low > log.high then
      if log.listed > 0 or redis.call('EXISTS', key) == 1 then redis.call('DEL', key) end
    else
      if redis.call('LLEN', key) ~= log.high - log.low + 1 or log.low ~= log.first then
        redis.call('LTRIM', key, log.low - log.first, log.high - log.first)
      end
      for seq, element in pairs(log.put) do
        if seq >= log.low and seq <= log.high then redis.call('LSET', key, seq - log.low, element) end
      end
    end
    for from = 1, #log.added, 1000 do
      local some = {}
      for i = from, math.min(from + 999, #log.added) do some[#some + 1] = log.added[i].element end
      redis.call('RPUSH', key, unpack(some))
    end
  end
  flat[#flat + 1], flat[#flat + 2], flat[#flat + 3] = name, log.base, log.count
end
record.logs = flat

for field, standing in pairs(ids) do
  if standing then
    if redis.call('HSET', K.ids, field, struct.pack('>I4', standing[1]) .. standing[#standing]) == 1 then
      record.ids = record.ids + 1
    end
  elseif redis.call('HDEL', K.ids, field) == 1 then
    record.ids = record.ids - 1
  end
end

for name, value in pairs(state) do
  if value.present and value.written then
    local blob = struct.pack('>BI4I8', value.counter and 1 or 0, value.version, value.expires)
    redis.call('HSET', K.state, name, blob .. (value.payload or ''))
    if not value.stood then
      redis.call('ZADD', K.names, 0, name)
      record.values = record.values + 1
    end
    if value.counter then
      if redis.call('HSET', K.count, name, value.counter) == 1 then record.counters = record.counters + 1 end
    elseif value.was_counter then
      record.counters = record.counters - redis.call('HDEL', K.count, name)
    end
  elseif not value.present and value.stood then
    redis.call('HDEL', K.state, name)
    redis.call('ZREM', K.names, name)
    record.values = record.values - 1
    if value.was_counter then record.counters = record.counters - redis.call('HDEL', K.count, name) end
  end
end

record.version, record.size = version, size
record.active = c.active or c.time
if #c.state > 0 then record.state_version = version end
if c.metadata then record.metadata, record.metadata_version = c.metadata, version end
if c.tags then record.tags, record.metadata_version = c.tags, version end
if changed then
  record.epoch = record.epoch + 1
  local flat_lowest = {}
  for name, seq in pairs(lowest) do
    flat_lowest[#flat_lowest + 1] = name
    flat_lowest[#flat_lowest + 1] = seq
  end
  record.resets[#record.resets + 1] = {record.epoch, flat_lowest}
  while #record.resets > c.epochs do table.remove(record.resets, 1) end
end

local outcome = {counter, version, sequences, kept_out, counters}
if not window then
  window = {0}
  if there then
    for _, field in ipairs(redis.call('HKEYS', record_key)) do
      if string.sub(field, 1, 2) == 'w:' then
        local other = cmsgpack.unpack(redis.call('HGET', record_key, field))
        if other[1] < now - c.forget then redis.call('HDEL', record_key, field) end
      end
    end
  end
end
window[1] = math.max(window[1], not_after)
local place = #window + 1
while place > 2 and window[place - 1][1] > counter do place = place - 1 end
table.insert(window, place, outcome)
while #window > c.window + 1 do table.remove(window, 2) end

-- How much later than due a session may expire, so that not every commit renews it.
local function slack_of(ttl) return math.min(math.floor(ttl / 10), 400) end

local renewed = not there
if not there then
  expires = record.ttl and now + record.ttl or nil
elseif record.ttl and record.sliding and (not expires or expires - now < record.ttl) then
  expires, renewed = now + record.ttl + slack_of(record.ttl), true
end
if record.ttl and not there and record.sliding then expires = expires + slack_of(record.ttl) end

local packed = cmsgpack.pack(record)
local x = expires and string.format('%.0f', expires) or ''
if expires then
  redis.call('HSET', record_key, 't', c.token, 'm', packed, 'f', string.format('%.0f', fence), 'w:' .. writer,
    cmsgpack.pack(window), 'x', x)
else
  redis.call('HSET', record_key, 't', c.token, 'm', packed, 'f', string.format('%.0f', fence), 'w:' .. writer,
    cmsgpack.pack(window))
end
if c.fence and c.fence[2] then
  redis.call('HSET', K.turn, 'owner', '', 'until', string.format('%.0f', now))
  redis.call('PEXPIRE', K.turn, 3600000)
  for _, place in ipairs(turn[4] and turn[4] ~= '' and cmsgpack.unpack(turn[4]) or {}) do
    if place[2] > now then
      redis.call('SPUBLISH', K.notify .. ':' .. place[1], '')
      break
    end
  end
end
if expires then
  -- All parts are kept a grace longer, for a sweep to read; x says when the session ends.
  local x = string.format('%.0f', expires + c.grace)
  if renewed then redis.call('PEXPIREAT', record_key, x) end
  for _, name in ipairs(names) do
    local log = logs[name]
    if log.count > 0 and (renewed or log.touched) then redis.call('PEXPIREAT', log_key(name), x) end
  end
  if record.values > 0 and (renewed or #c.state > 0) then
    redis.call('PEXPIREAT', K.state, x)
    redis.call('PEXPIREAT', K.names, x)
    if record.counters > 0 then redis.call('PEXPIREAT', K.count, x) end
  end
  if record.ids > 0 and (renewed or #sequences > 0) then redis.call('PEXPIREAT', K.ids, x) end
end
redis.call('SPUBLISH', K.notify, version)
return {'OK', c.token, packed, x, fence, cmsgpack.pack(outcome), 0, there and 0 or 1, cmsgpack.pack(window)}
