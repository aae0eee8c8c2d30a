#!lua
-- Write, read back and delete a key of ours: whether a commit would be taken now.
--
-- KEYS   1 the key
-- ARGV   1 the value
-- reply  1 it was read back

redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)
local found = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return found == ARGV[1] and 1 or 0
