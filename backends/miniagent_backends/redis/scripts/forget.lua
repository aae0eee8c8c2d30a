#!lua flags=allow-oom
-- Remove stale members of an index, unless someone has written them anew meanwhile.
--
-- KEYS   1 the index (ZSET)
-- ARGV   member and score in turn: as it was seen, or the last that there was
-- reply  the members that were removed

local gone = {}
for i = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) <= tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
    gone[#gone + 1] = ARGV[i]
  end
end
return gone
