#!lua flags=allow-oom
-- Keep what listings, counts, sweeps and watchers go by, for one session of a bucket. Nothing else writes it
-- but claim.lua, so that totals are always the sum of what the places say.
--
-- KEYS   1 the bucket's index (ZSET: session -> last activity)
-- ARGV   1 what to do:
--          'before'  the session is about to be made: give it a place, unless it has one. Facts: a TTL for expiry
--          'note'    what it is now, if it has a place
--          'put'     what it is now, with a place or without
--          'fix'     that, even if a later commit was told of: it was lost with a server
--          'mend'    that, unless the place has changed since it was looked at
--          'check'   nothing: only whether 'mend' would find something wrong
--          'gone'    it was deleted, or never made
--          'change'  only the change for watchers
--        2 the session · 3 msgpack {expiry, places, totals, claims, changes} (keys of the same slot)
--        4 facts in msgpack (see places.py) · 5 the place as it was seen ('mend', 'check'), else ''
--        6 '' or the change to note for watchers · 7 their channel · 8 how long changes are kept, in microseconds
-- reply  0 nothing done: there is no such place, or it was changed · else {1, tags that it had and has no longer…}
--        for 'mend' and 'check': {1} if something was wrong, else {}
--
-- Facts: version, incarnation, user, agent, tags, messages, size, last activity, expires; '' and 0 for none.

local what, id, K = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3])
local index, packed = KEYS[1], ARGV[4]
local new = cmsgpack.unpack(packed)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local stood = redis.call('HGET', K.places, id)
local score = tonumber(redis.call('ZSCORE', K.expiry, id) or '')
local active = tonumber(redis.call('ZSCORE', index, id) or '')
local claimed = redis.call('ZSCORE', K.claims, id)
local newest = ARGV[6] ~= '' and redis.call('ZRANGE', K.changes, -1, -1, 'WITHSCORES') or {}
redis.call('HLEN', K.totals) -- all are read first: on a node that a slot is on its way to, some have not come
local old = stood and cmsgpack.unpack(stood) or nil

local function text(number) return string.format('%.0f', number) end

local function add(field, difference)
  if difference ~= 0 and redis.call('HINCRBY', K.totals, field, text(difference)) == 0 then
    redis.call('HDEL', K.totals, field)
  end
end

local function place()
  redis.call('HSET', K.places, id, packed)
  redis.call('ZADD', index, text(new[8]), id)
  if new[9] > 0 then redis.call('ZADD', K.expiry, text(new[9]), id) else redis.call('ZREM', K.expiry, id) end
  add('messages', new[6] - (old and old[6] or 0))
  add('bytes', new[7] - (old and old[7] or 0))
end

-- One that expired, and was not told of before its id was used again, is kept under a name of its own.
local function set_aside()
  local past = id .. '\0' .. old[2]
  redis.call('HSET', K.places, past, stood)
  redis.call('ZADD', K.expiry, text(score), past)
  if claimed then
    redis.call('ZADD', K.claims, claimed, past)
    redis.call('ZREM', K.claims, id)
  end
  add('messages', -old[6])
  add('bytes', -old[7])
  old = nil
end

local function forget_past()
  local past = id .. '\0' .. new[2]
  if new[2] ~= '' and redis.call('HDEL', K.places, past) == 1 then
    redis.call('ZREM', K.expiry, past)
    redis.call('ZREM', K.claims, past)
  end
end

local function note_change()
  if ARGV[6] == '' then return end
  local at = clock[1] * 1000000 + clock[2]
  -- Two changes in one microsecond must not share a place: a cursor stands between them.
  if newest[2] and tonumber(newest[2]) >= at then at = tonumber(newest[2]) + 1 end
  redis.call('ZADD', K.changes, text(at), ARGV[6])
  redis.call('ZREMRANGEBYSCORE', K.changes, '-inf', text(at - tonumber(ARGV[8])))
  redis.call('PEXPIRE', K.changes, text(tonumber(ARGV[8]) / 1000))
  redis.call('SPUBLISH', ARGV[7], '')
end

if what == 'before' then
  if old and not (score and score <= now) then return 0 end
  if new[9] > 0 then new[9] = now + new[9] end
  packed = cmsgpack.pack(new)
  if old then set_aside() end
  place()
  return {1}
end

local same = old and (old[2] == '' or old[2] == new[2])
-- Not a key is left by what comes late, after the session was deleted.
if what == 'note' and not same then return 0 end
note_change()
if what == 'change' then return 0 end

if what == 'gone' then
  if old and not same then return 0 end
  redis.call('HDEL', K.places, id)
  redis.call('ZREM', index, id)
  redis.call('ZREM', K.expiry, id)
  redis.call('ZREM', K.claims, id)
  if old then
    add('messages', -old[6])
    add('bytes', -old[7])
  end
  return {1}
end

if what == 'mend' or what == 'check' then
  if (stood or '') ~= ARGV[5] then return {} end
  local wrong = not old or active ~= new[8] or (score or 0) ~= new[9]
  for i = 1, 9 do
    if not wrong and i ~= 5 and old[i] ~= new[i] then wrong = true end
  end
  if not wrong and table.concat(old[5], '\0') ~= table.concat(new[5], '\0') then wrong = true end
  if not wrong then return {} end
  if what == 'check' then return {1} end
  place()
  return {1}
end

-- Others may have told of a later commit before.
if what ~= 'fix' and old and old[2] == new[2] and old[1] > new[1] then return {1} end
if what ~= 'note' and old and not same and score and score <= now then set_aside() end
place()
forget_past()
local reply, kept = {1}, {}
for _, tag in ipairs(new[5]) do kept[tag] = true end
for _, tag in ipairs(old and old[5] or {}) do
  if not kept[tag] then reply[#reply + 1] = tag end
end
return reply
