-- A reserve: told again what it was told before, else decided, and perhaps in the place of another attempt.

-- The columns of a reserve; its tier, what it must leave to those before it and its offers follow, each offer as draw
-- (or the name of an offer nobody knows), prompt, output, cost, requests. There is one table for all, filled in turn.
local ID, ITS_MARK, TTL, PATIENCE, KIND, DENIED_UNTIL, INSTEAD_OF, HEAD = 1, 2, 3, 4, 5, 6, 7, 9
local reserve_row = {}
local DRY_RUN, DECLARED = 1, 2
-- What was held when the state was lost may be declared for as long as a hold can live.
local DECLARED_FOR = 3600000
local denied_now

at_start(function()
  denied_now = {}
end)

-- What this attempt was told before, if it was (I6).
local function repeated(reserve)
  local hold = hold_of(reserve[ID])
  if hold then
    if hold[MARK] == reserve[ITS_MARK] then
      return { 'held before', hold[OFFER], hold[EXPIRES], hold[VERSION], hold[PLAN], hold[PASSED_OVER],
        hold[LEASE] }
    end
    return { 'refused', 'other contents', reserve[ID] }
  end
  local known = denied_now[reserve[ID]]
  if known then -- of this batch; whatever was denied before under this id is forgotten with it
    return known.mark == reserve[ITS_MARK] and { 'denied', known.denials } or nil
  end
  return reserve[DENIED_UNTIL] > now and { 'remembered' } or nil
end

local function worth_waiting(reserve, denials)
  local patience = reserve[PATIENCE]
  if patience == 0 then
    return false
  end
  for _, refusal in ipairs(denials) do
    if refusal[9] or (refusal[5] >= 0 and refusal[5] <= patience) then
      return true
    end
  end
  return false
end

local function deny(reserve, denials)
  if reserve[KIND] == DRY_RUN then
    return { 'denied', denials }
  end
  if worth_waiting(reserve, denials) then
    local soonest = nil
    for _, refusal in ipairs(denials) do
      if refusal[5] >= 0 then
        soonest = min(soonest or refusal[5], refusal[5])
      end
    end
    return { 'waiting', denials, now + (soonest or reserve[PATIENCE]) }
  end
  denied_now[reserve[ID]] = { mark = reserve[ITS_MARK], denials = denials }
  return { 'denied', denials }
end

local function take(reserve, hold, draw, amounts)
  local id, legs = reserve[ID], draw.legs
  tell(reserve[KIND] == DECLARED and 'declare' or 'reserve', id, hold[OFFER], #legs)
  for number = 1, #legs do
    local leg = legs[number]
    local amount, cell = amounts[leg.unit], leg.cell
    if reserve[KIND] == DECLARED and meta.closed_until > now then
      local known = missing_of(leg.line.id, cell)
      known.found = known.found + amount
    end
    book(leg.line, cell, 0, amount)
    cell.kept = true
    tell_move(leg.line, cell, 0, amount)
  end
  holds[id], changed_holds[id] = hold, hold
  await_expiry(id, hold, legs)
end

local function hold_offer(reserve, denials, draw, amounts, prompt, output, cost, requests)
  local passed_over, lease = #denials > 0 and denials or 0, draw.lease
  local expires = now + (lease > 0 and min(reserve[TTL], lease) or reserve[TTL])
  if reserve[KIND] ~= DRY_RUN then
    take(reserve, { 'held', reserve[ITS_MARK], draw.offer, draw.plan, request.version, expires, passed_over, '', '', lease,
      draw.who, now, prompt, output, cost, requests, draw.shape }, draw, amounts)
  end
  return { 'held', draw.place, expires, passed_over, reserve[KIND] ~= DRY_RUN and lease or 0 }
end

local function freed_by_ending()
  local own = {}
  for _, leg in ipairs(moves.legs) do
    local left = -(moves.used[leg.unit] + moves.held[leg.unit])
    if left > 0 then
      own[leg.line.id] = (own[leg.line.id] or 0) + left
    end
  end
  return own
end

-- Settle the attempt being replaced and admit its successor in one step. While the successor waits, the old attempt
-- keeps what it holds, so that no neighbour can take it.
local function replace(reserve)
  local answer = ending_of(reserve[INSTEAD_OF], 1)
  if answer and answer[1] == 'refused' then
    return answer
  elseif answer then
    moves.legs = {} -- it has ended already
  end
  book_moves(1)
  local denials, draw, amounts, prompt, output, cost, requests = first_fit(reserve, freed_by_ending(), false)
  if reserve[KIND] == DRY_RUN or (not draw and worth_waiting(reserve, denials)) then
    book_moves(-1)
  elseif not answer then
    record()
  end
  if not draw then
    return deny(reserve, denials)
  end
  return hold_offer(reserve, denials, draw, amounts, prompt, output, cost, requests)
end

-- What was admitted once, and is declared after a loss, is not asked whether it fits.
local function reserve_one(row, first, last)
  local reserve = reserve_row
  for column = 1, HEAD do
    reserve[column] = row[first + column - 1]
  end
  reserve.row, reserve.offers, reserve.last = row, first + HEAD, last
  local known = reserve[KIND] ~= DRY_RUN and repeated(reserve) or nil
  if known then
    return known
  elseif reserve[INSTEAD_OF] ~= 0 then
    return replace(reserve)
  end
  local certain = reserve[KIND] == DECLARED and meta.lost_at > 0 and now < meta.lost_at + DECLARED_FOR
  local denials, draw, amounts, prompt, output, cost, requests = first_fit(reserve, nil, certain)
  if not draw then
    return deny(reserve, denials)
  end
  return hold_offer(reserve, denials, draw, amounts, prompt, output, cost, requests)
end
