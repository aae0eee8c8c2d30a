#!lua flags=allow-oom
-- Remove stale members of an index, unless someone has written them anew meanwhile.
--
-- KEYS   1 the index (ZSET)
-- ARGV   member and score, as they were seen, one pair after the other
-- reply  the members that were removed

local gone = {}
for i = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
    gone[#gone + 1] = ARGV[i]
  end
end
return gone
