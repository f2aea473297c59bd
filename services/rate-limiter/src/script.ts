/**
 * What Redis runs, each script as one step. Budgets are read as `budgets.ts` says.
 * A window is its count, expiring when the window ends. A bucket is `<level>:<ms>`, expiring when it would be full.
 * A claim is one byte, `P` (in progress) or `K` (kept), the body's digest, then the answer.
 */
import { defineScript } from "@headgate/kit/redis";
import { IN_PROGRESS_RETRY_MS } from "./service.ts";

/** Shared beginning: the time, and a look at a budget that returns count or level, room, wait, remaining, reset. */
const LOOK = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function look(key, kind, first, second)
  if kind == 'w' then
    local count = tonumber(redis.call('GET', key) or 0)
    local left = 0
    if count > 0 then left = math.max(0, redis.call('PTTL', key)) end
    return count, count < first, left, math.max(0, first - count), left
  end
  local full = second * 60000
  local level, at = full, now
  local kept = redis.call('GET', key)
  if kept then
    local l, a = string.match(kept, '^(%d+):(%d+)$')
    at = tonumber(a)
    level = math.min(full, tonumber(l) + math.max(0, now - at) * first)
    at = math.max(at, now)
  end
  return level, level >= 60000, math.max(0, math.ceil((60000 - level) / first)),
    math.floor(level / 60000), math.ceil((full - level) / first), at
end
`;

/** What the first element of an item's reply stands for. */
export const ADMIT_CODES = ["admitted", "limited", "replay", "conflict", "in_progress"] as const;

/** Length of a body's digest as base64url, the form in which claims keep it. */
export const DIGEST_LENGTH = 43;

/**
 * Judges items one after the other, each alone.
 * KEYS: item by item, one per budget, then the claim's if it has one.
 * ARGV: latest ms by Redis's clock to act at (0: any), claim ms, then item by item the number of budgets and the
 * body's digest ('' for no claim), then per budget its kind, and limit and window ms ('w'), or per minute and burst ('b').
 * Returns now ms, then per item: code, wait ms, answer, then per budget remaining and reset ms. Past the latest ms
 * nothing but now: whoever asked has long been answered otherwise, and must not be counted or hold a claim.
 */
export const ADMIT = defineScript(
  `${LOOK}
local latest = tonumber(ARGV[1])
if latest > 0 and now > latest then return { now } end
local next_key, next_arg = 1, 3

local function admit(budgets, digest)
  local seen, wait, room = {}, 0, true
  for i = 1, budgets do
    local key, kind = KEYS[next_key], ARGV[next_arg]
    local first, second = tonumber(ARGV[next_arg + 1]), tonumber(ARGV[next_arg + 2])
    next_key, next_arg = next_key + 1, next_arg + 3
    local have, has, ms, remaining, reset, at = look(key, kind, first, second)
    if not has then
      room = false
      wait = math.max(wait, ms)
    end
    seen[i] = { key, kind, first, second, have, remaining, reset, at }
  end
  local claim
  if digest ~= '' then
    claim = KEYS[next_key]
    next_key = next_key + 1
  end

  local reply = { 0, 0, '' }
  if not room then
    reply[1], reply[2] = 1, wait
    for i = 1, budgets do
      reply[i * 2 + 2], reply[i * 2 + 3] = seen[i][6], seen[i][7]
    end
    return reply
  end

  for i = 1, budgets do
    local key, kind, first, second, have, remaining, reset, at = unpack(seen[i], 1, 8)
    if kind == 'w' then
      if have == 0 then
        redis.call('SET', key, 1, 'PX', second)
        reset = second
      else
        redis.call('INCR', key)
      end
      remaining = remaining - 1
    else
      local level = have - 60000
      reset = math.ceil((second * 60000 - level) / first)
      remaining = math.floor(level / 60000)
      redis.call('SET', key, string.format('%.0f:%.0f', level, at), 'PX', string.format('%.0f', reset))
    end
    reply[i * 2 + 2], reply[i * 2 + 3] = remaining, reset
  end

  if claim then
    local kept = redis.call('GET', claim)
    if not kept then
      redis.call('SET', claim, 'P' .. digest, 'PX', ARGV[2])
    elseif string.sub(kept, 2, ${DIGEST_LENGTH + 1}) ~= digest then
      reply[1] = 3
    elseif string.sub(kept, 1, 1) == 'P' then
      reply[1] = 4
      reply[2] = math.max(1, math.min(${IN_PROGRESS_RETRY_MS}, redis.call('PTTL', claim)))
    else
      reply[1] = 2
      reply[3] = string.sub(kept, ${DIGEST_LENGTH + 2})
    end
  end
  return reply
end

local replies = { now }
while next_arg <= #ARGV do
  local budgets, digest = tonumber(ARGV[next_arg]), ARGV[next_arg + 1]
  next_arg = next_arg + 2
  replies[#replies + 1] = admit(budgets, digest)
end
return replies
`,
  "take",
);

/** Looks at one budget. KEYS: its key. ARGV: kind and two numbers as for `ADMIT`. Returns remaining and reset ms. */
export const PEEK = defineScript(
  `${LOOK}
local _, _, _, remaining, reset = look(KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
return { remaining, reset }
`,
  "peek",
);

/**
 * Ends a claim in progress. KEYS: its key, then one per bucket of kept bytes. ARGV: the answer ('' forgets the claim), ms to
 * keep it, bytes it takes, then the bytes of each bucket. A bucket is `<level>:<ms>`, as for `ADMIT`, refilled in the time
 * that answers are kept. Returns 0 for a claim that is not in progress, 1 when done, 2 when a bucket had no room: then
 * nothing is taken and the claim is forgotten.
 */
export const SETTLE = defineScript(
  `
local kept = redis.call('GET', KEYS[1])
if not kept or string.sub(kept, 1, 1) ~= 'P' then return 0 end
if ARGV[1] == '' then
  redis.call('DEL', KEYS[1])
  return 1
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep_ms, cost = tonumber(ARGV[2]), tonumber(ARGV[3])
local taken = {}
for i = 2, #KEYS do
  local full = tonumber(ARGV[i + 2])
  local level, at = full, now
  local seen = redis.call('GET', KEYS[i])
  if seen then
    local l, a = string.match(seen, '^([%d%.]+):(%d+)$')
    at = tonumber(a)
    level = math.min(full, tonumber(l) + math.max(0, now - at) * full / keep_ms)
    at = math.max(at, now)
  end
  if level < cost then
    redis.call('DEL', KEYS[1])
    return 2
  end
  local left = level - cost
  taken[i] = { string.format('%.3f:%.0f', left, at), math.ceil((full - left) * keep_ms / full) }
end
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], taken[i][1], 'PX', string.format('%.0f', taken[i][2]))
end
redis.call('SET', KEYS[1], 'K' .. string.sub(kept, 2, ${DIGEST_LENGTH + 1}) .. ARGV[1], 'PX', ARGV[2])
return 1
`,
  "settle",
);
