#!lua
-- Bring the vector set of a record forward, from where its writer saw it.
--
-- KEYS   1 the record · 2 the set · 3 how far it is (HASH: at, model, born, fill, until, count) · 4 when which
--        elements expire (ZSET); all of one slot
-- ARGV   1 msgpack {from, to: numbers of the last change that is in it, and of the last of these; born: of
--          which filling it was seen; fill: of this writer, or false; begin: whether to begin anew;
--          upto: where it is then, or false; model; incarnation: of the record, or false; patience: ms that a
--          writer who fills it is waited for; removed: elements; due: at most so many expired ones go}
--        then element, vector, attributes and the time of expiry in ms, or '', in turn
-- reply  'OK'; 'GONE': it is not where it was seen; 'BUSY': somebody else fills it
--
-- What is above `at` may be in the set before `at` says so: what is found is compared with the record.

local c = cmsgpack.unpack(ARGV[1])
local record, set, far, expiries = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local got = redis.call('HMGET', record, 'm', 'x')
local expires = tonumber(got[2] or '')
if not got[1] or (expires and expires <= now) then
  redis.call('UNLINK', set, far, expiries)
  return 'GONE'
end
if c.incarnation and cmsgpack.unpack(got[1]).incarnation ~= c.incarnation then return 'GONE' end

local seen = redis.call('HMGET', far, 'at', 'model', 'fill', 'until', 'count', 'born')
local at, fill = seen[1] or '', seen[3] or ''
if c.begin then
  if fill ~= '' and fill ~= c.fill and tonumber(seen[4]) > now then return 'BUSY' end
  if (seen[6] or '') ~= c.born then return 'GONE' end
  redis.call('UNLINK', set, far, expiries)
  redis.call('HSET', far, 'model', c.model, 'born', c.fill, 'fill', c.fill)
elseif c.fill then
  if fill ~= c.fill then return 'GONE' end
else
  local its_incarnation, its_number = string.match(at, '^(.*):(%d+)$')
  if its_incarnation ~= c.incarnation or fill ~= '' or seen[2] ~= c.model or seen[6] ~= c.born then
    return 'GONE'
  end
  its_number = tonumber(its_number)
  -- It was taken back, as by a master that did not know all.
  if its_number < c.from then return 'GONE' end
  -- Others may have brought it further already: then what they wrote is newer.
  if its_number >= c.to then return 'OK' end
end
if not c.begin and tonumber(seen[5]) ~= redis.call('VCARD', set) then return 'GONE' end

local function remove(element)
  redis.call('VREM', set, element)
  redis.call('ZREM', expiries, element)
end

for _, element in ipairs(c.removed) do remove(element) end
for _, element in ipairs(redis.call('ZRANGEBYSCORE', expiries, '-inf', now, 'LIMIT', 0, c.due)) do
  remove(element)
end
for i = 2, #ARGV, 4 do
  redis.call('VADD', set, 'FP32', ARGV[i + 1], ARGV[i], 'SETATTR', ARGV[i + 2])
  if ARGV[i + 3] == '' then redis.call('ZREM', expiries, ARGV[i])
  else redis.call('ZADD', expiries, ARGV[i + 3], ARGV[i]) end
end
if c.upto then
  redis.call('HSET', far, 'at', c.upto)
  redis.call('HDEL', far, 'fill', 'until')
elseif c.fill then
  redis.call('HSET', far, 'until', string.format('%.0f', now + c.patience))
end
redis.call('HSET', far, 'count', redis.call('VCARD', set))
return 'OK'
