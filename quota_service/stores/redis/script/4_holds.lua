-- A hold is a row of values under the key of its attempt. Its legs follow from its amounts and from its shape: which cells of
-- which budgets it draws on, the same text for all holds of one offer and payer at one time. Once it has ended only what
-- a repeated operation must be told is kept; of a lapsed one everything, for it may be corrected.

local STATE, MARK, OFFER, PLAN, VERSION, EXPIRES, PASSED_OVER, OUTCOME, SETTLEMENT, LEASE = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local WHO, CREATED, INPUT, OUTPUT, COST, REQUESTS, SHAPE = 11, 12, 13, 14, 15, 16, 17
local DAY = 86400000

local holds, changed_holds, opened, closed_ids, ended, spend, unlabelled, labels_of, freed, overage, counts

local function read_holds(ids)
  local key = prefix .. 'h:'
  for first = 1, #ids, 500 do
    local keys, last = {}, min(#ids, first + 499)
    for place = first, last do
      keys[place - first + 1] = key .. ids[place]
    end
    for place, raw in ipairs(call('MGET', unpack(keys))) do
      holds[ids[first + place - 1]] = raw and { unpack_message(raw) } or false
    end
  end
end

-- The journal of this batch (I2): for each operation its kind, attempt, a remark, how many moves, and of each move the
-- number of the cell and by how much used and held moved. `told_cells` says which cells, and what they were before.
local journal, journal_size, journal_lines, told_cells, legs_by_shape

at_start(function()
  holds, changed_holds, opened, closed_ids = {}, {}, {}, {}
  ended = { ended = {}, lapsed = {} }
  spend, unlabelled, labels_of, freed, overage, counts = {}, {}, {}, {}, {}, { lapsed = 0, late = 0 }
  journal, journal_size, journal_lines, told_cells, legs_by_shape = {}, 0, 0, {}, {}
end)

local function tell(kind, id, remark, moves)
  local size = journal_size
  journal[size + 1], journal[size + 2], journal[size + 3], journal[size + 4] = kind, id, remark, moves
  journal_size, journal_lines = size + 4, journal_lines + 1
end

local function number_of(line, cell)
  if not cell.number then
    told_cells[#told_cells + 1] = { line.id, cell.start, cell.used_before, cell.held_before }
    cell.number = #told_cells
  end
  return cell.number
end

local function tell_move(line, cell, used, held)
  local size = journal_size
  journal[size + 1], journal[size + 2], journal[size + 3] = cell.number or number_of(line, cell), used, held
  journal_size = size + 3
end

-- The legs of a shape: pairs of a line and a cell that weighs, and the unit. Cells that weigh no longer have no leg.
local function legs_of(shape)
  local legs = legs_by_shape[shape]
  if not legs then
    legs = {}
    local told = unpack_message(shape)
    for place = 1, #told, 3 do
      local line = line_of(told[place])
      local cell = cell_of(line, told[place + 2])
      if cell then
        legs[#legs + 1] = { line = line, unit = told[place + 1], cell = cell }
      end
    end
    legs_by_shape[shape] = legs
  end
  return legs
end

-- What amounts are in each unit; concurrency is never charged, only lent (I18).
local function in_units(requests, prompt, output, cost, lent)
  return { requests, prompt + output, cost, lent }
end

-- An ending is worked out and then booked or not before the next one is, so there is one table of each kind, not one for
-- each: what it charges, and by how much it moves used and held in each unit.
local charged, ending = { 0, 0, 0, 0 }, {}
local moves = { used = { 0, 0, 0, 0 }, held = { 0, 0, 0, 0 }, over = { 0, 0, 0, 0 } }

local function charge_exactly(requests, prompt, output, cost)
  charged[1], charged[2], charged[3], charged[4] = requests, prompt, output, cost
end

-- By how much what is charged moves used and held; refused when a cell would grow beyond what is exact (I12).
local function moves_of(hold)
  local used, held, over, was_held = moves.used, moves.held, moves.over, hold[STATE] == 'held'
  local requests, tokens, cost = hold[REQUESTS], hold[INPUT] + hold[OUTPUT], hold[COST]
  local more, more_tokens, more_cost = charged[1] - requests, charged[2] + charged[3] - tokens, charged[4] - cost
  over[1], over[2], over[3] = max(more, 0), max(more_tokens, 0), max(more_cost, 0)
  if was_held then
    used[1], used[2], used[3] = charged[1], charged[2] + charged[3], charged[4]
    held[1], held[2], held[3], held[4] = -requests, -tokens, -cost, -1
  else
    used[1], used[2], used[3] = more, more_tokens, more_cost
    held[1], held[2], held[3], held[4] = 0, 0, 0, 0
  end
  moves.legs = legs_of(hold[SHAPE])
  if more <= 0 and more_tokens <= 0 and more_cost <= 0 then
    return true -- nothing grows
  end
  for _, leg in ipairs(moves.legs) do
    local total, unit = leg.line.total, leg.unit
    if total.used + total.held + used[unit] + held[unit] > MOST then
      return false, leg.line.id
    end
  end
  return true
end

local function book_moves(sign)
  local legs, used, held = moves.legs, moves.used, moves.held
  for number = 1, #legs do
    local leg = legs[number]
    local unit = leg.unit
    book(leg.line, leg.cell, sign * used[unit], sign * held[unit])
  end
end

-- Labels of callers are summed apart up to so many different ones of a day.
local function bounded(day, labels)
  local known = labels_of[day]
  if not known then
    known = { key = prefix .. 'l:' .. text(day), seen = {}, new = {} }
    known.count = call('SCARD', known.key)
    labels_of[day] = known
  end
  if known.seen[labels] == nil then
    known.seen[labels] = call('SISMEMBER', known.key, labels) == 1
  end
  if not known.seen[labels] then
    if known.count >= request.labels then
      return 'other'
    end
    known.seen[labels], known.count, known.new[#known.new + 1] = true, known.count + 1, labels
  end
  return labels
end

local function spend_row(day, who, outcome, labels)
  local key = who .. outcome
  if labels ~= '' then
    key = key .. '\n' .. bounded(day, labels)
  end
  local rows = spend[day] or {}
  spend[day] = rows
  local row = rows[key] or { 0, 0, 0, 0, 0, 0 }
  rows[key] = row
  return row
end

-- The row of most endings: of one day, who and outcome, without labels. To put its key together each time costs more.
local function unlabelled_row(day, who, outcome)
  local known = unlabelled[who]
  if not known or known.day ~= day or known.outcome ~= outcome then
    known = { day = day, outcome = outcome, row = spend_row(day, who, outcome, '') }
    unlabelled[who] = known
  end
  return known.row
end

local function add_spend(hold, sign, figures, assumed, labels)
  local day, who, outcome = floor(hold[CREATED] / DAY), hold[WHO], hold[OUTCOME]
  local row = labels == '' and unlabelled_row(day, who, outcome) or spend_row(day, who, outcome, labels)
  row[1], row[6] = row[1] + sign, row[6] + assumed
  row[2], row[3] = row[2] + sign * figures[1], row[3] + sign * figures[2]
  row[4], row[5] = row[4] + sign * figures[3], row[5] + sign * figures[4]
end

local function in_full(hold)
  return { hold[REQUESTS], hold[INPUT], hold[OUTPUT], hold[COST] }
end

-- Write down an ending whose moves are booked: once for each hold, and a lapsed one is corrected once (I4, I5).
local function record_ending(id, hold, state, outcome, token, labels)
  if hold[STATE] == 'lapsed' then
    counts.late = counts.late + 1
    add_spend(hold, -1, in_full(hold), -1, '')
  else
    closed_ids[#closed_ids + 1] = id
    opened[id] = nil
    local queue = state == 'lapsed' and ended.lapsed or ended.ended
    queue[#queue + 1] = id
  end
  local legs, all_used, all_held, all_over = moves.legs, moves.used, moves.held, moves.over
  tell(state, id, outcome, #legs)
  local size = journal_size
  for number = 1, #legs do
    local leg = legs[number]
    local unit, cell = leg.unit, leg.cell
    local used, held, over = all_used[unit], all_held[unit], all_over[unit]
    if used + held < 0 then
      freed[leg.line.id] = true
    end
    if over > 0 then
      overage[UNITS[unit]] = (overage[UNITS[unit]] or 0) + over
    end
    journal[size + 1], journal[size + 2], journal[size + 3] = cell.number or number_of(leg.line, cell), used, held
    size = size + 3
  end
  journal_size = size
  hold[STATE], hold[OUTCOME], hold[SETTLEMENT] = state, outcome, token
  if outcome ~= 'released' then
    add_spend(hold, 1, charged, state == 'lapsed' and 1 or 0, labels)
  end
  changed_holds[id] = hold
end

-- End a hold that nobody ended: charged in full, only its concurrency returns (I5).
local function lapse(id, hold)
  charge_exactly(unpack(in_full(hold)))
  moves_of(hold)
  book_moves(1)
  record_ending(id, hold, 'lapsed', 'lapsed', '', '')
  counts.lapsed = counts.lapsed + 1
end

local function hold_of(id)
  local hold = holds[id]
  if hold and hold[STATE] == 'held' and hold[EXPIRES] <= now then
    lapse(id, hold)
  end
  return hold
end

-- What a settle charges: what may have been spent (I5, I13, I15); rules.charge says the same.
local function charge(hold, outcome, requests, prompt, output, cost, unpriced)
  if outcome == 'released' then
    return charge_exactly(0, 0, 0, 0)
  end
  if outcome ~= 'failed' and requests == 0 then
    requests = hold[REQUESTS]
  end
  if (outcome == 'unknown' or outcome == 'cancelled') and prompt == 0 then
    prompt = hold[INPUT]
    if output == 0 and cost == 0 then
      cost = hold[COST]
    end
  end
  if unpriced then
    cost = max(cost, hold[COST])
  end
  charge_exactly(requests, prompt, output, cost)
end

-- How a settle or release ends a hold: an answer, or nil and an ending with its moves, not booked yet (I4, I6).
local function ending_of(row, first, last)
  local _, id, outcome, requests, prompt, output, cost, unpriced, token, labels = unpack(row, first, last)
  local hold = hold_of(id)
  if not hold then
    return { 'refused', 'no hold', id }
  end
  local state = hold[STATE]
  if state ~= 'held' and state ~= 'lapsed' then
    return hold[SETTLEMENT] == token and { 'done', true, false } or { 'refused', 'ended', id, hold[OUTCOME] }
  end
  charge(hold, outcome, requests, prompt, output, cost, unpriced)
  local fits, overflowing = moves_of(hold)
  if not fits then
    return { 'refused', 'too much', id, overflowing }
  end
  ending.id, ending.hold, ending.outcome, ending.token, ending.labels = id, hold, outcome, token, labels
  ending.state = state == 'lapsed' and 'corrected' or outcome == 'released' and 'released' or 'settled'
  return nil
end

local function record()
  record_ending(ending.id, ending.hold, ending.state, ending.outcome, ending.token, ending.labels)
end

local DONE, CORRECTED = { 'done', false, false }, { 'done', false, true }

local function settle(row, first, last)
  local answer = ending_of(row, first, last)
  if answer then
    return answer
  end
  book_moves(1)
  record()
  return ending.state == 'corrected' and CORRECTED or DONE
end

local function await_expiry(id, hold, legs)
  opened[id] = hold[EXPIRES]
  for _, leg in ipairs(legs) do
    if leg.unit == 4 and hold[EXPIRES] > leg.line.latest_expiry then
      leg.line.latest_expiry, leg.line.changed = hold[EXPIRES], true
    end
  end
end

-- Keep a hold alive, and with it what it borrows (I18).
local function extend(row, first, last)
  local _, id, ttl = unpack(row, first, last)
  local hold = hold_of(id)
  if not hold or hold[STATE] ~= 'held' then
    return { 'refused', 'not open', id, hold and hold[OUTCOME] or '' }
  end
  hold[EXPIRES] = now + ttl
  await_expiry(id, hold, legs_of(hold[SHAPE]))
  changed_holds[id] = hold
  return DONE
end
