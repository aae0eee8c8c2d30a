#!lua flags=allow-oom
-- Keep the index of one bucket of the cache: what was set and removed, what has expired, and what has to go.
--
-- The cached values themselves are in slots of their own: the caller removes those that have to go. What it
-- adds is little, and where there is no room for more, others must be able to go all the same.
--
-- KEYS   1 names by last use (ZSET) · 2 names by expiry (ZSET, +inf for none) · 3 sizes and tags by name
--        (HASH), and all sizes together under the empty name
-- ARGV   1 packed: {bytes the bucket may hold or false, what keys of tags start with,
--        {{name, size, TTL in ms or false, {tag, …}}, …} set, {name, …} removed}
-- reply  the names that have to go

local USED, DUE, SIZES = KEYS[1], KEYS[2], KEYS[3]
-- So that no call takes long, however many have expired; those that come after go on.
local MOST = 1000
local limit, tag_start, set, removed = unpack(cmsgpack.unpack(ARGV[1]))
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local total = tonumber(redis.call('HGET', SIZES, '') or '0')
local tagged = {}

local function forget(name)
  local packed = redis.call('HGET', SIZES, name)
  if not packed then return end
  local size, tags = unpack(cmsgpack.unpack(packed))
  for _, tag in ipairs(tags) do
    redis.call('ZREM', tag_start .. tag, name)
    tagged[tag_start .. tag] = true
  end
  redis.call('HDEL', SIZES, name)
  redis.call('ZREM', USED, name)
  redis.call('ZREM', DUE, name)
  total = total - size
end

for _, name in ipairs(removed) do forget(name) end
for _, item in ipairs(set) do
  local name, size, ttl, tags = unpack(item)
  forget(name)
  local due = ttl and now + ttl or '+inf'
  redis.call('HSET', SIZES, name, cmsgpack.pack({size, tags}))
  redis.call('ZADD', USED, now, name)
  redis.call('ZADD', DUE, due, name)
  for _, tag in ipairs(tags) do
    redis.call('ZADD', tag_start .. tag, due, name)
    tagged[tag_start .. tag] = true
  end
  total = total + size
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, MOST)) do forget(name) end

local victims = {}
while limit and total > limit and #victims < MOST do
  local name = redis.call('ZRANGE', USED, 0, 0)[1]
  if not name then break end
  forget(name)
  victims[#victims + 1] = name
end

-- With the last value goes what is known of it.
local function end_with(key, last)
  if last == 'inf' then redis.call('PERSIST', key) else redis.call('PEXPIREAT', key, last) end
end
for tag in pairs(tagged) do
  local last = redis.call('ZRANGE', tag, -1, -1, 'WITHSCORES')[2]
  if last then end_with(tag, last) end
end
local last = redis.call('ZRANGE', DUE, -1, -1, 'WITHSCORES')[2]
if last then
  redis.call('HSET', SIZES, '', total)
  for _, key in ipairs(KEYS) do end_with(key, last) end
else
  redis.call('DEL', SIZES)
end
return victims
