#!lua
-- Take, renew or release a turn or a lock, as miniagent_store/rules/lease.py says it.
--
-- KEYS   1 the lease; 2 the record, for a turn (one slot)
-- ARGV   1 'take', 'renew' or 'release' · 2 owner · 3 TTL in ms · 4 holder, for people · 5 fence (renew and
--        release; 0 gives up a place in line, too) · 6 a new guard of 8 bytes · 7 '1' if the session must be
--        there · 8 the channel to wake, before ':' and an owner · 9 until when to stand in line, or 0 · 10 the
--        not-after, or 0 · 11 how long the first in line has a free lease to itself, in ms
-- reply  take: {'TAKEN', fence, until}, {'HELD', holder, remaining ms, place, claim ms}, {'NOTFOUND'}, {'LATE'}
--        else 1 or 0
--
-- A lease outlives its end by an hour, so that fences never go back. Its field 'line' has who waits, by
-- arrival: {owner, until ms}…, in msgpack.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local what, owner, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
local KEPT = 3600000

local function text(number) return string.format('%.0f', number) end

local row = redis.call('HMGET', KEYS[1], 'owner', 'fence', 'until', 'holder', 'line')
local fence, until_ms = tonumber(row[2] or '0'), tonumber(row[3] or '0')
local is_held = row[1] and row[1] ~= '' and until_ms > now

if what == 'renew' then
  if row[1] ~= owner or fence ~= tonumber(ARGV[5]) or until_ms <= now then return 0 end
  redis.call('HSET', KEYS[1], 'until', text(now + ttl))
  redis.call('PEXPIRE', KEYS[1], ttl + KEPT)
  return 1
end

local line, place = {}, nil
for _, each in ipairs(row[5] and row[5] ~= '' and cmsgpack.unpack(row[5]) or {}) do
  if each[2] > now then
    line[#line + 1] = each
    if each[1] == owner then place = #line end
  end
end
local function packed() return #line > 0 and cmsgpack.pack(line) or '' end

-- Let it go, and wake the first in line, who has its whole time to come.
local function free()
  redis.call('HSET', KEYS[1], 'owner', '', 'until', text(now), 'line', packed())
  redis.call('PEXPIRE', KEYS[1], KEPT)
  if line[1] then redis.call('SPUBLISH', ARGV[8] .. ':' .. line[1][1], '') end
end

local function release(proved)
  if row[1] == owner and (proved == 0 or proved == fence) then
    free()
    return 1
  end
  if proved ~= 0 or not place then return 0 end
  table.remove(line, place)
  if place == 1 and not is_held then free() else redis.call('HSET', KEYS[1], 'line', packed()) end
  return 1
end

if what == 'release' then return release(tonumber(ARGV[5])) end

local not_after = tonumber(ARGV[10])
if not_after > 0 and now > not_after then return {'LATE'} end
local record = {false, false, false}
if KEYS[2] then
  record = redis.call('HMGET', KEYS[2], 't', 'f', 'x')
  local expires = tonumber(record[3] or '')
  if expires and expires <= now then record = {false, false, false} end
  if not record[1] and ARGV[7] == '1' then
    release(0)
    return {'NOTFOUND'}
  end
end

if row[1] ~= owner then
  local before = place and place - 1 or #line
  local claim = until_ms + before * tonumber(ARGV[11]) - now
  if is_held or (before > 0 and claim > 0) then
    -- A place that is good for a while is not written anew.
    local line_until, stands = tonumber(ARGV[9]), place and line[place][2] or now
    if line_until > now and line_until - now > 2 * (stands - now) then
      line[before + 1] = {owner, line_until}
      redis.call('HSET', KEYS[1], 'line', packed())
    end
    if is_held then return {'HELD', row[4] or '', until_ms - now, before, claim} end
    return {'HELD', 'the next in line', 0, before, claim}
  end
  fence = math.max(fence + 1, tonumber(record[2] or '0') + 1, now)
  -- Those before had their time, and did not come.
  for _ = 1, math.min(before + 1, #line) do table.remove(line, 1) end
end
redis.call('HSET', KEYS[1], 'owner', owner, 'fence', text(fence), 'until', text(now + ttl), 'holder', ARGV[4],
  'line', packed())
redis.call('PEXPIRE', KEYS[1], ttl + KEPT)
-- Fence and guard at once: a holder that lost the turn can commit neither by the one nor by the other.
if record[1] and tonumber(record[2] or '0') < fence then
  redis.call('HSET', KEYS[2], 't', string.sub(record[1], 1, 16) .. ARGV[6], 'f', text(fence))
end
return {'TAKEN', fence, now + ttl}
