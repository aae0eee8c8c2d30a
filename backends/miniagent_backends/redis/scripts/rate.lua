#!lua
-- Count one more under a rate limit, as miniagent_store/rules/rate.py says it.
--
-- KEYS   1 the limit's state (HASH a, b, c)
-- ARGV   1 'fixed', 'sliding' or 'bucket' · 2 limit · 3 period in ms · 4 cost
-- reply  {1 or 0, remaining, retry after in ms}

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local limit, period, cost = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local row = redis.call('HMGET', KEYS[1], 'a', 'b', 'c')
local a, b, c = tonumber(row[1] or ''), tonumber(row[2] or '0'), tonumber(row[3] or '0')
local allowed, remaining, wait = false, 0, 0

if ARGV[1] == 'fixed' then
  if not a or now >= a + period then a, b = now, 0 end
  allowed = b + cost <= limit
  if allowed then b = b + cost else wait = a + period - now end
  remaining = limit - b
elseif ARGV[1] == 'sliding' then
  local window = now - now % period
  if not a then a = window end
  if window >= a + 2 * period then b, c = 0, 0 elseif window > a then b, c = 0, b end
  a = window
  local elapsed = now - window
  local used = b + c * (1 - elapsed / period)
  allowed = used + cost <= limit
  if allowed then
    b, used = b + cost, used + cost
  else
    local room = limit - b - cost
    if room >= 0 and c > 0 then
      wait = math.max(math.ceil(period * (1 - room / c) - elapsed), 1)
    else
      local share = b > 0 and math.max(limit - cost, 0) / b or 1
      wait = math.max(math.ceil(period - elapsed + period * math.max(1 - share, 0)), 1)
    end
  end
  remaining = limit - used
else
  local per_ms = limit / period
  local tokens = a and math.min(limit, b + math.max(now - a, 0) * per_ms) or limit
  allowed = tokens >= cost
  if allowed then tokens = tokens - cost else wait = math.max(math.ceil((cost - tokens) / per_ms), 1) end
  a, b = now, tokens
  remaining = tokens
end
redis.call('HSET', KEYS[1], 'a', string.format('%.0f', a), 'b', string.format('%.17g', b), 'c', string.format('%.17g', c))
redis.call('PEXPIRE', KEYS[1], 2 * period)
return {allowed and 1 or 0, math.max(math.floor(remaining), 0), math.ceil(wait)}
