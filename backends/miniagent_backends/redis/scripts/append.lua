#!lua
-- The fast path: append to one log of a session whose record the caller knows.
--
-- KEYS   1 the record · 2 the list · then the session's other parts, all of which must be there
-- ARGV   1 the token that is expected (24 bytes) · 2 the new token · 3 the new record · 4 the writer's field ·
--        5 the writer's outcomes · 6 the list's length afterwards · 7 a new expiry or '' · 8 the channel ·
--        9 the new version · 10 the expiry, if it is near, else '' · 11 until when all is kept, with 7 · then the
--        elements
-- reply  1 applied · 2 applied before · 0 missed: take the general path
--
-- The expected token proves that nothing has been committed since, this commit's own first try included; the
-- commit's own token proves that it is done. Nothing is computed here.

local call = redis.call
local token = call('HGET', KEYS[1], 't')
if token ~= ARGV[1] then
  if token and string.sub(token, 1, 16) == string.sub(ARGV[2], 1, 16) then
    -- A write, so that a WAIT behind it is honest.
    call('HSET', KEYS[1], 't', token)
    return 2
  end
  return 0
end
if ARGV[10] ~= '' then
  -- What has expired may be kept for a while, for a sweep to read.
  local clock = call('TIME')
  if clock[1] * 1000 + math.floor(clock[2] / 1000) >= tonumber(ARGV[10]) then return 0 end
end
if #KEYS > 2 and call('EXISTS', unpack(KEYS, 3)) ~= #KEYS - 2 then return 0 end
local pushed = #ARGV - 11
local length = call('RPUSH', KEYS[2], unpack(ARGV, 12))
if length ~= tonumber(ARGV[6]) then
  -- An LTRIM to -1 would keep all of a list that was not there before.
  if length == pushed then call('DEL', KEYS[2]) else call('LTRIM', KEYS[2], 0, length - pushed - 1) end
  return 0
end
if ARGV[7] == '' then
  call('HSET', KEYS[1], 't', ARGV[2], 'm', ARGV[3], ARGV[4], ARGV[5])
else
  call('HSET', KEYS[1], 't', ARGV[2], 'm', ARGV[3], ARGV[4], ARGV[5], 'x', ARGV[7])
  for _, key in ipairs(KEYS) do call('PEXPIREAT', key, ARGV[11]) end
end
call('SPUBLISH', ARGV[8], ARGV[9])
return 1
