#!lua
-- Take, renew or release a turn or a lock, as miniagent_store/rules/lease.py says it.
--
-- KEYS   1 the lease; 2 the record, for a turn (one slot)
-- ARGV   1 'take', 'renew' or 'release' · 2 owner · 3 TTL in ms · 4 holder, for people · 5 fence (renew and
--        release) · 6 a new guard of 8 bytes · 7 '1' if the session must be there · 8 the channel to wake
-- reply  take: {'TAKEN', fence, until}, {'HELD', holder, remaining ms}, {'NOTFOUND'} · else 1 or 0
--
-- A lease outlives its end by an hour, so that fences never go back.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local what, owner, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
local KEPT = 3600000

local function text(number) return string.format('%.0f', number) end

local row = redis.call('HMGET', KEYS[1], 'owner', 'fence', 'until', 'holder')
local fence, until_ms = tonumber(row[2] or '0'), tonumber(row[3] or '0')

if what == 'renew' then
  if row[1] ~= owner or fence ~= tonumber(ARGV[5]) or until_ms <= now then return 0 end
  redis.call('HSET', KEYS[1], 'until', text(now + ttl))
  redis.call('PEXPIRE', KEYS[1], ttl + KEPT)
  return 1
end

if what == 'release' then
  if row[1] ~= owner or fence ~= tonumber(ARGV[5]) then return 0 end
  redis.call('HSET', KEYS[1], 'owner', '', 'until', text(now))
  redis.call('PEXPIRE', KEYS[1], KEPT)
  redis.call('PUBLISH', ARGV[8], '')
  return 1
end

local record = {false, false, false}
if KEYS[2] then
  record = redis.call('HMGET', KEYS[2], 't', 'f', 'x')
  local expires = tonumber(record[3] or '')
  if expires and expires <= now then record = {false, false, false} end
  if not record[1] and ARGV[7] == '1' then return {'NOTFOUND'} end
end
if row[1] and row[1] ~= '' and row[1] ~= owner and until_ms > now then
  return {'HELD', row[4] or '', until_ms - now}
end
if row[1] ~= owner then fence = math.max(fence + 1, tonumber(record[2] or '0') + 1, now) end
redis.call('HSET', KEYS[1], 'owner', owner, 'fence', text(fence), 'until', text(now + ttl), 'holder', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ttl + KEPT)
-- Fence and guard at once: a holder that lost the turn can commit neither by the one nor by the other.
if record[1] and tonumber(record[2] or '0') < fence then
  redis.call('HSET', KEYS[2], 't', string.sub(record[1], 1, 16) .. ARGV[6], 'f', text(fence))
end
return {'TAKEN', fence, now + ttl}
