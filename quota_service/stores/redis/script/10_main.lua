-- What can be asked: begin (number the definitions), apply, look, dump, image and import.

local LAPSES = 256 -- at most in one batch
local VERBS = { settle = settle, extend = extend, observe = observe, override = override }
local ASKED = {}

-- Operations travel one behind the other in one list, each behind the number of its columns: a table for each would cost
-- more to read than the operation to do.
local function ids_of(due)
  local ids, size, others, reserves = { unpack(due) }, #due, request.others, request.reserves
  local place, ends = 1, #others
  while place <= ends do
    local verb = others[place + 1]
    if verb == 'settle' or verb == 'extend' then
      size = size + 1
      ids[size] = others[place + 2]
    end
    place = place + others[place] + 1
  end
  place, ends = 1, #reserves
  while place <= ends do
    size = size + 1
    ids[size] = reserves[place + ID]
    local instead_of = reserves[place + INSTEAD_OF]
    if instead_of ~= 0 then
      size = size + 1
      ids[size] = instead_of[2]
    end
    place = place + reserves[place] + 1
  end
  return ids
end

local function done_one_by_one(rows, act)
  local answers, number, place, ends = {}, 0, 1, #rows
  while place <= ends do
    local last = place + rows[place]
    number = number + 1
    answers[number] = act(rows, place + 1, last)
    place = last + 1
  end
  return answers
end

local function other(row, first, last)
  return VERBS[row[first]](row, first, last)
end

-- Settles, releases, extensions and observations, then reserves in their order.
local function decide()
  local due = call('ZRANGEBYSCORE', prefix .. 'open', '-inf', text(now), 'LIMIT', 0, LAPSES)
  read_holds(ids_of(due))
  read_closures()
  lapse_due(due)
  if meta.closed_until > 0 and meta.closed_until <= now then
    reopen()
  end
  for _, told in ipairs(request.restate) do
    restate(told)
  end
  local others = done_one_by_one(request.others, other)
  local reserves = done_one_by_one(request.reserves, reserve_one)
  local at_most = 64 + 2 * (#others + #reserves)
  forget('ended', request.keep_ended, at_most)
  forget('lapsed', request.keep_lapsed, at_most)
  return others, reserves
end

local function names_of(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  return names
end

local function standing_reply(kind)
  local soonest = call('ZRANGE', prefix .. 'open', 0, 0, 'WITHSCORES')
  local others = request.version ~= meta.version and read_overrides() or nil
  return { kind = kind, now = now, epoch = meta.epoch, version = meta.version, definitions = meta.definitions,
    overrides = others, batches = meta.batches, events = events, closed_for = max(0, meta.closed_until - now),
    next_expiry = soonest[2] and tonumber(soonest[2]) or -1 }
end

function ASKED.apply()
  check_epoch()
  expire_overrides()
  if not check_version() then
    if overrides_changed then
      write_everything()
    end
    return standing_reply('stale')
  end
  if not knows_the_epoch() then
    write_everything()
    local reply = standing_reply('lost')
    reply.misses = misses()
    return reply
  end
  local others, reserves = decide()
  write_everything()
  local reply = standing_reply('applied')
  reply.others, reply.reserves, reply.freed, reply.touched = others, reserves, names_of(freed), touched
  reply.lapsed, reply.late, reply.overage, reply.assumed = counts.lapsed, counts.late, overage, assumed
  return reply
end

-- The version of the definitions grows by one whenever they are others than at the last start (I14).
function ASKED.begin()
  check_epoch()
  if meta.definitions ~= request.definitions then
    note('version', meta.version + 1)
    note('definitions', request.definitions)
  end
  write_everything()
  return standing_reply('begun')
end

function ASKED.look()
  read_closures()
  local reply = standing_reply('seen')
  reply.levels, reply.closures, reply.open = {}, closures, call('ZCARD', prefix .. 'open')
  for place = 1, #request.budgets do
    local budget = budget_at(place)
    local level = budget.weighed[1]
    reply.levels[place] = { level.used, level.held, level.external, limit_of(level, budget), budget.current[1].ends }
  end
  return reply
end

-- Everything that can be recomputed, as of one moment: cells, totals, and the legs of open holds.
function ASKED.dump()
  local reply = standing_reply('dumped')
  reply.count, reply.cells, reply.totals, reply.holds = meta.count, {}, {}, {}
  for _, id in ipairs(call('SMEMBERS', prefix .. 'lines')) do
    local line = line_of(id)
    if not line.known then
      call('SREM', prefix .. 'lines', id) -- it has outlived its last cell
    end
    read_whole(line)
    for start, cell in pairs(line.cells) do
      reply.cells[#reply.cells + 1] = { id, start, cell.used, cell.held, cell.external, cell.counts_until }
    end
    if line.rolls then
      reply.totals[#reply.totals + 1] = { id, line.total.used, line.total.held, line.total.external }
    end
  end
  for _, id in ipairs(call('ZRANGE', prefix .. 'open', 0, -1)) do
    local raw = call('GET', prefix .. 'h:' .. id)
    local hold = raw and { unpack_message(raw) }
    local amounts = hold and in_units(hold[REQUESTS], hold[INPUT], hold[OUTPUT], hold[COST], 1) or 0
    local legs = hold and unpack_message(hold[SHAPE]) or 0
    reply.holds[#reply.holds + 1] = { id, hold and hold[STATE] or 'gone', amounts, legs }
  end
  return reply
end

function ASKED.image()
  local reply = standing_reply('image')
  read_image(reply)
  return reply
end

function ASKED.import()
  check_epoch()
  if not is_empty() then
    return standing_reply('not empty')
  end
  take_image()
  return standing_reply('imported')
end

local function ask(_, arguments)
  call, pack, unpack_message = redis.call, cmsgpack.pack, cmsgpack.unpack
  floor, max, min = math.floor, math.max, math.min
  prefix, request = arguments[1], unpack_message(arguments[2])
  for _, make in ipairs(starts) do
    make()
  end
  local ok, reply = pcall(ASKED[request.ask])
  if ok then
    return pack(reply)
  elseif type(reply) == 'table' and reply.again then
    return pack({ kind = 'again', now = now })
  end
  error(reply)
end

redis.register_function('$NAME', ask)
