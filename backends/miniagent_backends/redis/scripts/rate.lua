#!lua
-- Count one more under a rate limit, as miniagent_store/rules/rate.py says it.
--
-- KEYS   1 the limit's state (whole numbers, packed)
-- ARGV   1 'fixed', 'sliding' or 'bucket' · 2 limit · 3 period in ms · 4 cost · 5 capacity of a bucket
--        6 how long the state is kept, in ms
-- reply  {1 or 0, remaining, retry after in ms, reset after in ms}

local SUB_WINDOWS = 200
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local limit, period, cost = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local packed = redis.call('GET', KEYS[1])
local state = packed and cmsgpack.unpack(packed)
local allowed, remaining, wait, reset = false, 0, 0, 0
-- Only where something changed: who is refused again and again costs no writing.
local kept

if ARGV[1] == 'fixed' then
  local start, count = now, 0
  if state then start, count = math.min(state[1], now), state[2] end
  if now >= start + period then start, count = now, 0 end
  allowed = count + cost <= limit
  if allowed then count = count + cost end
  if allowed or not state or start ~= state[1] then kept = {start, count} end
  reset = start + period - now
  if not allowed then wait = reset end
  remaining = limit - count
elseif ARGV[1] == 'sliding' then
  local width = math.max(math.floor(period / SUB_WINDOWS), 1)
  local last = now - now % width + width
  local counts, used, went_back = {}, 0, false
  local function add(at, count)
    local n = #counts
    if counts[n - 1] == at then counts[n] = counts[n] + count else counts[n + 1], counts[n + 2] = at, count end
    used = used + count
  end
  for i = 1, state and #state or 0, 2 do
    if state[i] + period > now then
      went_back = went_back or state[i] > last
      add(math.min(state[i], last), state[i + 1])
    end
  end
  allowed = used + cost <= limit
  if allowed then
    add(last, cost)
  else
    local excess = used + cost - limit
    wait = period
    for i = 1, #counts, 2 do
      excess = excess - counts[i + 1]
      if excess <= 0 then wait = counts[i] + period - now; break end
    end
  end
  if allowed or went_back then kept = counts end
  if #counts > 0 then reset = counts[#counts - 1] + period - now else reset = period end
  remaining = limit - used
else
  local full, price = tonumber(ARGV[5]) * period, cost * period
  local at, level, of = now, full, period
  if state then at, level, of = state[1], state[2], state[3] end
  if of ~= period then level = math.floor(level * period / of) end
  level = math.min(level + math.max(now - at, 0) * limit, full)
  allowed = level >= price
  if allowed then level = level - price else wait = math.ceil((price - level) / limit) end
  if allowed or not state or at > now or of ~= period then kept = {now, level, period} end
  reset = math.ceil((full - level) / limit)
  remaining = math.floor(level / period)
end
if kept then redis.call('SET', KEYS[1], cmsgpack.pack(kept), 'PX', ARGV[6]) end
return {allowed and 1 or 0, math.max(remaining, 0), wait, reset}
