#!lua flags=allow-oom
-- Claim what has expired in a bucket, and finish it.
--
-- KEYS   1 the bucket's index (ZSET: session -> last activity)
-- ARGV   1 what to do · 2 msgpack {expiry, places, totals, claims} (keys of the same slot), then
--          'look'    3 at most so many
--          'claim'   3 for how many ms · then member and score, as they were seen, in turn
--          'finish'  member and incarnation in turn
-- reply  look: {member, score, place or ''} in turn, of what has expired and is claimed by no one
--        claim: the members that were claimed · finish: the place of a new life under each id, or ''
--
-- A claim is a time until which nobody else takes it. A member is a session, or one whose id has been used
-- again since: "session\0incarnation".

local what, K = ARGV[1], cmsgpack.unpack(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- All are read first: on a node that a slot is on its way to, some have not come.
redis.call('ZCARD', KEYS[1])
redis.call('HLEN', K.places)
redis.call('HLEN', K.totals)
redis.call('ZCARD', K.expiry)
redis.call('ZCARD', K.claims)

local function text(number) return string.format('%.0f', number) end

local function is_free(member)
  return tonumber(redis.call('ZSCORE', K.claims, member) or '0') <= now
end

if what == 'look' then
  local found, limit, from = {}, tonumber(ARGV[3]), 0
  while #found < 3 * limit do
    local some = redis.call('ZRANGEBYSCORE', K.expiry, '-inf', text(now), 'WITHSCORES', 'LIMIT', from, 500)
    for i = 1, #some, 2 do
      if #found < 3 * limit and is_free(some[i]) then
        found[#found + 1], found[#found + 2] = some[i], some[i + 1]
        found[#found + 1] = redis.call('HGET', K.places, some[i]) or ''
      end
    end
    if #some < 1000 then break end
    from = from + 500
  end
  return found
end

if what == 'claim' then
  local claimed = {}
  for i = 4, #ARGV, 2 do
    local score = redis.call('ZSCORE', K.expiry, ARGV[i])
    if score and tonumber(score) == tonumber(ARGV[i + 1]) and is_free(ARGV[i]) then
      redis.call('ZADD', K.claims, text(now + tonumber(ARGV[3])), ARGV[i])
      claimed[#claimed + 1] = ARGV[i]
    end
  end
  return claimed
end

local function add(field, difference)
  if difference ~= 0 and redis.call('HINCRBY', K.totals, field, text(difference)) == 0 then
    redis.call('HDEL', K.totals, field)
  end
end

local function remove(member)
  redis.call('HDEL', K.places, member)
  redis.call('ZREM', K.expiry, member)
  redis.call('ZREM', K.claims, member)
end

local standing = {}
for i = 3, #ARGV, 2 do
  local id, incarnation = ARGV[i], ARGV[i + 1]
  local place = redis.call('HGET', K.places, id)
  local score = tonumber(redis.call('ZSCORE', K.expiry, id) or '')
  local facts = place and cmsgpack.unpack(place) or nil
  standing[#standing + 1] = place or ''
  if score and score <= now and (not facts or facts[2] == incarnation) then
    remove(id)
    redis.call('ZREM', KEYS[1], id)
    if facts then
      add('messages', -facts[6])
      add('bytes', -facts[7])
    end
    standing[#standing] = ''
  end
  remove(id .. '\0' .. incarnation)
end
return standing
