#!lua flags=no-writes
-- What a read plan asks for, as of one moment.
--
-- KEYS   1 the record; then the parts that are known to exist (all of one slot)
-- ARGV   1 the plan, in msgpack (see schema.py: pack_plan)
-- reply  {} where there is no session; {'DAMAGED', part, problem}; else
--        {t, m, x or '', fence, ranges, values, scans, resets}
--        ranges: {first sequence, elements} a range; with a not-before, elements are {sequence, element}
--        values: {name, blob, counter or ''}…
--        scans: such a list a scan · resets: {log, first changed sequence}…

local plan = cmsgpack.unpack(ARGV[1])
local K = plan.keys
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local got = redis.call('HMGET', KEYS[1], 't', 'm', 'x', 'f')
local expires = tonumber(got[3] or '')
if not got[1] or not got[2] or ((expires and expires <= now) or false) ~= plan.expired then return {} end
local record = cmsgpack.unpack(got[2])

local function log_key(name)
  if name == 'messages' then return K.thread end
  if name == 'events' then return K.events end
  return K.log .. name
end

local bases, counts = {}, {}
for i = 1, #record.logs, 3 do
  local name = record.logs[i]
  bases[name], counts[name] = record.logs[i + 1], record.logs[i + 2]
  if not plan.damaged and redis.call('LLEN', log_key(name)) < counts[name] then
    return {'DAMAGED', "log '" .. name .. "'", 'has lost entries'}
  end
end
if not plan.damaged then
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

-- From where on a copy taken in another epoch, or of another incarnation, is not true.
local resets, reset_list = {}, {}
if plan.since then
  local incarnation, epoch = plan.since[1], plan.since[2]
  if incarnation ~= record.incarnation or epoch > record.epoch or record.epoch - epoch > #record.resets then
    for name in pairs(bases) do resets[name] = 1 end
  else
    for _, reset in ipairs(record.resets) do
      if reset[1] > epoch then
        for i = 1, #reset[2], 2 do
          local name, seq = reset[2][i], reset[2][i + 1]
          resets[name] = math.min(resets[name] or seq, seq)
        end
      end
    end
  end
  for name, seq in pairs(resets) do reset_list[#reset_list + 1] = {name, seq} end
end

local ranges = {}
for i, want in ipairs(plan.ranges) do
  local name, after, before, last, limit, not_before = want[1], want[2], want[3], want[4], want[5], want[6]
  local base, count = bases[name] or 0, counts[name] or 0
  if resets[name] then after = math.min(after, resets[name] - 1) end
  local low = math.max(after, base) + 1
  local high = before and math.min(before - 1, base + count) or base + count
  if not not_before then
    if last then low = math.max(low, high - last + 1) end
    if limit then high = math.min(high, low + limit - 1) end
  end
  local elements = low <= high and redis.call('LRANGE', log_key(name), low - base - 1, high - base - 1) or {}
  if not_before then
    local some = {}
    for j, element in ipairs(elements) do
      if struct.unpack('>I6', element, 18) >= not_before then some[#some + 1] = {low + j - 1, element} end
    end
    local from = last and math.max(#some - last + 1, 1) or 1
    local upto = limit and math.min(#some, from + limit - 1) or #some
    elements = {}
    for j = from, upto do elements[#elements + 1] = some[j] end
  end
  ranges[i] = {low, elements}
end

-- A value's blob: flags u8 (1 counter), version u32, expiry u64 (0 none), payload.
local function live_value(name)
  local blob = redis.call('HGET', K.state, name)
  if not blob then return nil end
  local flags, _, until_ms = struct.unpack('>BI4I8', blob)
  if until_ms ~= 0 and until_ms <= now then return nil end
  local counter = flags == 1 and redis.call('HGET', K.count, name)
  if flags == 1 and not counter then return nil end
  return {name, blob, counter or ''}
end

local values = {}
for _, name in ipairs(plan.names) do values[#values + 1] = live_value(name) end

local scans = {}
for i, scan in ipairs(plan.scans) do
  local low, high, limit, reverse = scan[1], scan[2], scan[3], scan[4]
  local found = {}
  while not limit or #found < limit do
    local names
    if reverse then
      names = redis.call('ZREVRANGEBYLEX', K.names, high, low, 'LIMIT', 0, 200)
    else
      names = redis.call('ZRANGEBYLEX', K.names, low, high, 'LIMIT', 0, 200)
    end
    for _, name in ipairs(names) do
      if not limit or #found < limit then found[#found + 1] = live_value(name) end
    end
    if #names < 200 then break end
    -- On from the last name: an offset would be walked anew for each part.
    if reverse then high = '(' .. names[200] else low = '(' .. names[200] end
  end
  scans[i] = found
end

return {got[1], got[2], got[3] or '', tonumber(got[4] or '0'), ranges, values, scans, reset_list}
