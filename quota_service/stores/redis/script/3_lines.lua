-- A line is one budget: a hash with a cell for each key of its window that still weighs, and a header `t` with the
-- running total of a rolling window. A rolling line is read whole only when its oldest cell has left; others have at
-- most three cells. Cells that weigh no longer are dropped, and what is booked on them later moves nothing.

local lines, budgets, missing

at_start(function()
  lines, budgets, missing = {}, {}, {}
end)

local function new_cell(start, ends, counts_until)
  return { start = start, ends = ends, counts_until = counts_until, used = 0, held = 0, external = 0, vendor_limit = -1,
    used_before = 0, held_before = 0, external_before = 0, limit_before = -1 }
end

local function read_cell(start, raw)
  local ends, counts_until, used, held, external, vendor_limit = unpack_message(raw)
  return { start = start, ends = ends, counts_until = counts_until, used = used, held = held, external = external,
    vendor_limit = vendor_limit, used_before = used, held_before = held, external_before = external,
    limit_before = vendor_limit }
end

local function read_header(line, raw)
  local total = { used = 0, held = 0, external = 0, vendor_limit = -1 }
  line.total, line.oldest, line.last_end, line.latest_expiry = total, FOREVER, 0, 0
  if raw then
    line.known = true
    line.oldest, total.used, total.held, total.external, total.vendor_limit, line.last_end, line.latest_expiry =
      unpack_message(raw)
  end
end

local function starts_of(line)
  local starts = {}
  for start in pairs(line.cells) do
    starts[#starts + 1] = start
  end
  table.sort(starts)
  return starts
end

-- The vendor's own limit as last heard in the cells that weigh.
local function last_heard(line)
  local starts = starts_of(line)
  for place = #starts, 1, -1 do
    local cell = line.cells[starts[place]]
    if cell.vendor_limit >= 0 then
      return cell.vendor_limit
    end
  end
  return -1
end

local function read_cells(line, fields)
  for place = 1, #fields, 2 do
    local start = tonumber(fields[place])
    if start and not line.cells[start] then
      line.cells[start] = read_cell(start, fields[place + 1])
    end
  end
  line.whole = true
end

local function read_whole(line)
  if not line.whole then
    read_cells(line, call('HGETALL', line.key))
  end
end

-- Let go of the cells that weigh no longer and sum the rest.
local function age(line)
  local total = { used = 0, held = 0, external = 0, vendor_limit = -1 }
  line.oldest = FOREVER
  for start, cell in pairs(line.cells) do
    if cell.counts_until <= now then
      line.cells[start] = nil
      line.gone[#line.gone + 1] = text(start)
      line.last_end = max(line.last_end, cell.ends)
    else
      line.oldest = min(line.oldest, cell.counts_until)
      total.used = total.used + cell.used
      total.held = total.held + cell.held
      total.external = total.external + cell.external
    end
  end
  line.total = total
  if line.rolls then
    total.vendor_limit = last_heard(line)
  end
end

local function line_of(id)
  local line = lines[id]
  if line then
    return line
  end
  local label = string.match(id, '[^/]*$')
  line = { id = id, key = prefix .. 'b:' .. id, cells = {}, gone = {}, whole = false,
    rolls = label == 'minute' or string.sub(label, 1, 8) == 'rolling:' }
  lines[id] = line
  if line.rolls then
    read_header(line, call('HGET', line.key, 't'))
    if line.oldest <= now then
      read_whole(line)
      age(line)
    end
    return line
  end
  local fields, header = call('HGETALL', line.key), nil
  for place = 1, #fields, 2 do
    if fields[place] == 't' then
      header = fields[place + 1]
    end
  end
  read_header(line, header)
  read_cells(line, fields)
  age(line)
  return line
end

-- What is known of a cell after a loss, while hard budgets are closed: how much of what was held has been found again,
-- how much is known to have been used before the loss, and how much used and held together.
local function missing_of(id, cell)
  local key = pack({ id, cell.start, cell.ends, cell.counts_until })
  local known = missing[key]
  if not known then
    local raw = call('HGET', prefix .. 'missing', key)
    known = raw and unpack_message(raw) or { found = cell.held, used = cell.used, total = cell.used + cell.held }
    missing[key] = known
  end
  return known
end

-- Return the cell that starts then, nil when it weighs no longer.
local function cell_of(line, start)
  local cell = line.cells[start]
  if not cell and not line.whole then
    local raw = call('HGET', line.key, text(start))
    cell = raw and read_cell(start, raw) or nil
    if cell and cell.counts_until <= now then
      cell = nil
    end
    line.cells[start] = cell
  end
  return cell
end

local function cell_at(line, start, ends, counts_until)
  local cell = cell_of(line, start)
  if not cell then
    cell = new_cell(start, ends, counts_until)
    line.cells[start] = cell
  end
  return cell
end

local function book(line, cell, used, held)
  if meta.closed_until > now then
    missing_of(line.id, cell) -- as it was before anything was booked
  end
  local total = line.total
  cell.used, cell.held = cell.used + used, cell.held + held
  total.used, total.held = total.used + used, total.held + held
end

-- The span of a calendar around a moment, out of the boundaries that were sent; when they do not reach, ask again with
-- the store's own time.
local function span_around(bounds, moment)
  for place = 1, #bounds - 1 do
    if bounds[place] <= moment and moment < bounds[place + 1] then
      return bounds[place], bounds[place + 1]
    end
  end
  error({ again = true })
end

local function cell_around(line, moment)
  for _, cell in pairs(line.cells) do
    if cell.start <= moment and moment < cell.ends then
      return cell
    end
  end
end

-- The cells to charge now, first the one around now: two within the guard of a calendar window's edge; a stored one keeps
-- its bounds (I9).
local function calendar_cells(budget, line)
  local guard, first = budget.guard, cell_around(line, now)
  if not first then
    local start, ends = span_around(budget.bounds, now)
    for _, cell in pairs(line.cells) do
      if cell.ends <= now then
        line.last_end = max(line.last_end, cell.ends)
      end
    end
    first = cell_at(line, max(start, line.last_end), ends, ends + guard)
  end
  if now >= first.ends - guard then
    local _, ends = span_around(budget.bounds, first.ends)
    return { first, cell_at(line, first.ends, ends, ends + guard) }
  elseif now < first.start + guard then
    local start = span_around(budget.bounds, first.start - 1)
    return { first, cell_around(line, first.start - 1) or cell_at(line, start, first.start, first.start + guard) }
  end
  return { first }
end

-- The cell of a credit since the last of its grants has expired; it weighs for ever.
local function credit_cell(budget, line)
  local start, ends = 0, FOREVER
  for _, grant in ipairs(budget.grants) do
    if grant[1] <= now then
      start = max(start, grant[1])
    else
      ends = min(ends, grant[1])
    end
  end
  return cell_at(line, start, ends, FOREVER)
end

-- A declared budget, with its line brought to now: `current` cells to charge, `weighed` levels that must have room.
local function budget_at(place)
  local budget = budgets[place]
  if budget then
    return budget
  end
  local id, index, kind, limit, hard, payer, guard, length, weighs, bounds, kept, grants = unpack(request.budgets[place])
  local line = line_of(id)
  budget = { id = id, index = index, kind = kind, limit = limit, hard = hard, payer = payer, guard = guard,
    bounds = bounds, kept = kept, grants = grants, line = line }
  if kind == 'sliding' then
    local start = floor(now / length) * length
    budget.current = { cell_at(line, start, start + length, start + length + weighs) }
    budget.weighed = { line.total }
  elseif kind == 'calendar' then
    budget.current = calendar_cells(budget, line)
    budget.weighed = budget.current
  elseif kind == 'credit' then
    budget.current = { credit_cell(budget, line) }
    budget.weighed = { line.total }
  else
    budget.current = { cell_at(line, 0, FOREVER, FOREVER) }
    budget.weighed = budget.current
  end
  budgets[place] = budget
  return budget
end

local function taken(level)
  return level.used + level.held + level.external
end

-- How much of the grants that have ended nobody took while they lasted: what is taken comes out of the grant that ends
-- first; credit.expired says the same.
local function expired(budget)
  local left, lost = {}, 0
  for number, grant in ipairs(budget.grants) do
    left[number] = grant[2]
  end
  for _, start in ipairs(starts_of(budget.line)) do
    local amount = taken(budget.line.cells[start])
    for number, grant in ipairs(budget.grants) do
      local part = grant[1] > start and min(amount, left[number]) or 0
      left[number], amount = left[number] - part, amount - part
    end
  end
  for number, grant in ipairs(budget.grants) do
    lost = lost + (grant[1] <= now and left[number] or 0)
  end
  return lost
end

local function limit_of(level, budget)
  local limit = budget.limit
  if level.vendor_limit >= 0 and level.vendor_limit < limit then
    limit = level.vendor_limit
  end
  return budget.kind == 'credit' and limit - expired(budget) or limit
end

-- How large a leg may be: what is left beyond what is kept, or anything while a soft limit is not used up (I1).
local function room(level, budget, kept)
  local limit = limit_of(level, budget) - kept
  if budget.hard then
    return limit - level.used - level.held - level.external
  end
  return level.used + level.external < limit and MOST - taken(level) or 0
end
