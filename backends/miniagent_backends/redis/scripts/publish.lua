#!lua
-- Turn what was staged into a session, in one step, as rules/commit.py: publish_stage says it.
--
-- KEYS   1 the record; 2 the stage's state values (HASH, as they are to stand) · 3 its counters · 4 its names
--        5 its ids · 6 its logs (HASH: name -> first sequence; "\0" marks the stage, "\0bytes" counts)
-- ARGV   1 msgpack {keys, writer, counter, not_after, token, create, version, bases [log, base, …], size,
--        max_size, retry, time, stage: the prefix of staged lists, grace, kept: false or {created, active,
--        expires, epoch}}
-- reply  as commit.lua, and {'GONE'}

local c = cmsgpack.unpack(ARGV[1])
local K, create = c.keys, c.create
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local got = redis.call('HMGET', KEYS[1], 't', 'm', 'x', 'f', 'w:' .. c.writer)
local expires = tonumber(got[3] or '')
if got[1] and not (expires and expires <= now) then
  local window = got[5] and cmsgpack.unpack(got[5]) or {0}
  for i = 2, #window do
    if window[i][1] == c.counter then
      redis.call('HSET', KEYS[1], 'f', got[4] or '0')
      return {'OK', got[1], got[2], got[3] or '', tonumber(got[4] or '0'), cmsgpack.pack(window[i]), 1, 0}
    end
  end
  return {'EXISTS'}
end
if now > c.not_after then return {'UNKNOWN', 'it came after its not-after, and no outcome is remembered'} end
if c.not_after > now + 32000 then
  return {'ARGUMENT', 'a commit id is good for 30 s at most; see that the clocks agree'}
end
if redis.call('EXISTS', KEYS[6]) == 0 then
  if c.retry then
    return {'UNKNOWN', 'an earlier try is in doubt, and neither stage nor session is there'}
  end
  return {'GONE'}
end

local logs, staged = {}, {}
for i = 1, #c.bases, 2 do logs[c.bases[i]] = {c.bases[i + 1], 0} end
local listed = redis.call('HGETALL', KEYS[6])
local size = #create.metadata
for i = 1, #listed, 2 do
  local name, first = listed[i], tonumber(listed[i + 1])
  if name == '\0bytes' then
    size = size + first
  elseif name ~= '\0' then
    local count = redis.call('LLEN', c.stage .. name)
    logs[name] = {first - 1, count}
    staged[#staged + 1] = name
  end
end
if c.max_size and size > c.max_size then return {'TOOLARGE', size, c.max_size} end

redis.call('DEL', KEYS[1], K.thread, K.events, K.state, K.names, K.count, K.ids)
if got[2] then
  local old = cmsgpack.unpack(got[2])
  for i = 1, #old.logs, 3 do
    local name = old.logs[i]
    if name ~= 'messages' and name ~= 'events' then redis.call('DEL', K.log .. name) end
  end
end
local x = create.ttl and string.format('%.0f', now + create.ttl + (create.sliding and math.min(math.floor(create.ttl / 10), 400) or 0)) or ''
local was = c.kept or {created = c.time, active = c.time, epoch = 0}
if c.kept then x = was.expires and string.format('%.0f', was.expires) or '' end
local kept = x ~= '' and string.format('%.0f', tonumber(x) + c.grace) or ''
local function settle(from, to)
  if redis.call('EXISTS', from) == 0 then return end
  redis.call('RENAME', from, to)
  if x == '' then redis.call('PERSIST', to) else redis.call('PEXPIREAT', to, kept) end
end
local function log_key(name)
  if name == 'messages' then return K.thread end
  if name == 'events' then return K.events end
  return K.log .. name
end
local flat = {}
for name, extent in pairs(logs) do flat[#flat + 1] = name end
table.sort(flat, function(one, other) return one < other end)
local triples = {}
for _, name in ipairs(flat) do
  triples[#triples + 1], triples[#triples + 2], triples[#triples + 3] = name, logs[name][1], logs[name][2]
end
for _, name in ipairs(staged) do settle(c.stage .. name, log_key(name)) end
settle(KEYS[2], K.state)
settle(KEYS[3], K.count)
settle(KEYS[4], K.names)
settle(KEYS[5], K.ids)
redis.call('DEL', KEYS[6])

local record = {kind = create.kind, user = create.user, agent = create.agent, tags = create.tags,
  created = was.created, active = was.active, ttl = create.ttl, sliding = create.sliding, version = c.version,
  epoch = was.epoch,
  incarnation = create.incarnation, metadata = create.metadata, logs = triples, size = size, resets = {},
  state_version = 0, metadata_version = 0, values = redis.call('HLEN', K.state),
  counters = redis.call('HLEN', K.count), ids = redis.call('HLEN', K.ids), data_key = create.data_key or nil}
local fence = tonumber(redis.call('HGET', K.turn, 'fence') or '0')
local outcome = {c.counter, c.version, {}, {}, {}}
local packed = cmsgpack.pack(record)
redis.call('HSET', KEYS[1], 't', c.token, 'm', packed, 'f', string.format('%.0f', fence), 'w:' .. c.writer,
  cmsgpack.pack({c.not_after, outcome}))
if x ~= '' then
  redis.call('HSET', KEYS[1], 'x', x)
  redis.call('PEXPIREAT', KEYS[1], kept)
end
redis.call('SPUBLISH', K.notify, c.version)
return {'OK', c.token, packed, x, fence, cmsgpack.pack(outcome), 0, 1}
