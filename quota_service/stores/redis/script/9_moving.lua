-- The whole ledger out of the store, and one into an empty store (I20).

local AT_ONCE = 500

local function read_lapsed()
  local found = {}
  for _, raw in ipairs(call('LRANGE', prefix .. 'lapsed', 0, -1)) do
    local group = unpack_message(raw)
    for place = 2, #group do
      found[#found + 1] = { group[place], group[1] }
    end
  end
  return found
end

-- Cells that weigh, and the holds that are open or have lapsed and were not corrected, as they are stored.
local function read_image(reply)
  reply.cells, reply.holds, reply.all_overrides, reply.stored_version = {}, {}, read_overrides(), meta.version
  read_closures()
  reply.closures = closures
  for _, id in ipairs(call('SMEMBERS', prefix .. 'lines')) do
    local line = line_of(id)
    read_whole(line)
    for start, cell in pairs(line.cells) do
      if cell.counts_until > now then
        reply.cells[#reply.cells + 1] = { id, start, cell.ends, cell.counts_until, cell.used, cell.held, cell.external,
          cell.vendor_limit }
      end
    end
  end
  local told = read_lapsed()
  for _, id in ipairs(call('ZRANGE', prefix .. 'open', 0, -1)) do
    told[#told + 1] = { id, 0 }
  end
  for _, row in ipairs(told) do
    local raw = call('GET', prefix .. 'h:' .. row[1])
    local hold = raw and { unpack_message(raw) } or { 'gone' }
    if hold[STATE] == 'held' or hold[STATE] == 'lapsed' then
      reply.holds[#reply.holds + 1] = { row[1], row[2], { unpack(hold, 1, REQUESTS) }, unpack_message(hold[SHAPE]) }
    end
  end
end

local function is_empty()
  for _, name in ipairs({ 'lines', 'open', 'ended', 'lapsed', 'days', 'journal', 'overrides', 'closures' }) do
    if call('EXISTS', prefix .. name) == 1 then
      return false
    end
  end
  return true
end

local function take_cells()
  tell('import', '', request.note, #request.cells)
  for _, row in ipairs(request.cells) do
    local id, start, ends, counts_until, used, held, external, vendor_limit = unpack(row)
    local line = line_of(id)
    local cell = cell_at(line, start, ends, counts_until)
    book(line, cell, used, held)
    cell.external, cell.vendor_limit, cell.kept = external, vendor_limit, true
    line.total.external = line.total.external + external
    tell_move(line, cell, used, held)
  end
  for _, line in pairs(lines) do
    line.total.vendor_limit = line.rolls and last_heard(line) or -1
  end
end

-- A hold as it is kept: its columns, and its shape as one text.
local function hold_row(row)
  local hold = row[2]
  hold[SHAPE] = pack(row[3])
  return hold
end

local function take_holds()
  for _, row in ipairs(request.open) do
    local id, hold = row[1], hold_row(row)
    changed_holds[id] = hold
    await_expiry(id, hold, legs_of(hold[SHAPE]))
  end
  for _, row in ipairs(request.lapsed) do
    changed_holds[row[1]] = hold_row(row)
  end
  note('lapsed_count', #request.lapsed)
end

local function take_spend()
  for _, row in ipairs(request.spend) do
    local day, group, sums = unpack(row)
    spend[day] = spend[day] or {}
    spend[day][group] = sums
    local labels = string.match(group, '\n(.*)$')
    if labels and labels ~= 'other' then
      bounded(day, labels)
    end
  end
end

-- Lapsed holds are listed in the order they lapsed, those of one moment together.
local function list_lapsed()
  local group
  local function push()
    if group then
      call('RPUSH', prefix .. 'lapsed', pack(group))
    end
  end
  for _, row in ipairs(request.lapsed) do
    if not group or group[1] ~= row[4] or #group > AT_ONCE then
      push()
      group = { row[4] }
    end
    group[#group + 1] = row[1]
  end
  push()
end

local function take_image()
  now = max(now, request.clock)
  meta.clock = max(meta.clock, request.clock)
  take_cells()
  take_holds()
  take_spend()
  for subject, closure in pairs(request.closures) do
    closure_changes[subject] = closure
  end
  overrides_are(request.overrides)
  note('version', request.version_after)
  write_everything()
  list_lapsed()
end
