-- The ledger as one script: a batch comes in, everything is read, everything is decided, and only then is anything
-- written, for an error half-way would not be rolled back. The rules are those of rules.py and admission.py; whatever
-- does not depend on what is stored (expansion into budgets, fingerprints, spans of calendars) is worked out there.
-- Every amount is an integer below 2^53, which is where doubles cease to be exact (I15).

--
-- It is a function library: defining a hundred functions takes a third of a millisecond, so it is done once. What a call
-- works with is therefore made afresh by what each part gives to `at_start`.

local call, pack, unpack_message, floor, max, min, prefix, request, now
local FOREVER, MOST, SECOND = 253370764799000, 9007199254740991, 1000
local UNITS = { 'requests', 'tokens', 'nanodollars', 'concurrency' }
local starts = {}

local function at_start(make)
  starts[#starts + 1] = make
end

local function text(number)
  return string.format('%.0f', number)
end

-- What is noted about the whole ledger. `count` numbers journal lines, `batches` the batches that wrote.
local FIELDS = { 'clock', 'wall', 'batches', 'count', 'closed_until', 'lost_at', 'version', 'ended_count', 'lapsed_count', 'lost_batches',
  'overridden_until', 'epoch', 'previous', 'run_id', 'repl_id', 'definitions' }
local NUMBERS = 11
local meta, meta_changes

local function read_meta()
  local values = call('HMGET', prefix .. 'meta', unpack(FIELDS))
  for place, name in ipairs(FIELDS) do
    meta[name] = place <= NUMBERS and tonumber(values[place] or 0) or values[place] or ''
  end
end

local function note(name, value)
  if meta[name] ~= value then
    meta[name] = value
    meta_changes[name] = value
  end
end

-- The store's one clock (I10): never goes back, neither behind what is stored nor behind what it told the asker before;
-- while the machine's is behind, it goes on at half the pace. Only tests say what the wall shows.
local function read_clock()
  local wall = request.wall
  if wall == 0 then
    local time = call('TIME')
    wall = time[1] * 1000 + time[2] / 1000
  end
  local told = wall
  if wall < meta.clock then
    told = meta.clock + max(0, wall - meta.wall) / 2
    if wall < meta.wall then
      meta_changes.wall = wall
    end
  end
  told = max(told, request.told)
  meta.clock, meta.wall = told, wall
  return floor(told)
end

at_start(function()
  meta, meta_changes = {}, {}
  read_meta()
  now = read_clock()
end)
