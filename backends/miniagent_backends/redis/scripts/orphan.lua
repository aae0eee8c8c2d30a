#!lua flags=allow-oom
-- Remove parts of a session that is not there.
--
-- KEYS   1 the record; then the parts that were seen (all of one slot)
-- ARGV   1 '1' to remove them, '' to count them only
-- reply  how many there are

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local parts = {unpack(KEYS, 2)}
if ARGV[1] == '1' then return redis.call('UNLINK', unpack(parts)) end
return redis.call('EXISTS', unpack(parts))
