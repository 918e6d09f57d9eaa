-- First fit: the first offer whose every leg fits, all or none (I1, I3), and why each one before it does not (I17).

local first_fit
do -- what nobody else calls is nobody else's: a function, and all parts together are one, has two hundred locals at most

local function recovering(budget)
  return budget.hard and meta.closed_until > now
end

-- What of a budget is kept from a tier, nothing from none (I16).
local function kept_from(tier, budget)
  return tier > 0 and budget.kept[tier] or 0
end

local function fits(budget, amount, kept)
  if recovering(budget) then
    return false
  end
  local weighed = budget.weighed
  for number = 1, #weighed do
    if amount > room(weighed[number], budget, kept) then
      return false
    end
  end
  return true
end

-- A leg that takes nothing is never denied. `own` is what the attempt being replaced frees: a payer's budget lets its
-- holder keep that much even when neighbours have overdrawn it meanwhile.
local function admits(budget, amount, own, kept)
  if amount == 0 or fits(budget, amount, kept) then
    return true
  end
  return own ~= nil and budget.payer and amount <= (own[budget.id] or 0) and not recovering(budget)
end

-- Does a leg leave what those who came first wait for (I16)?
local function leaves(budget, amount, own, behind)
  local kept = behind ~= 0 and behind[budget.id]
  return not kept or admits(budget, amount, own, kept)
end

local function rolls_free_in(budget, amount, kept)
  local line, level, excess = budget.line, budget.line.total, nil
  if budget.hard then
    excess = amount - room(level, budget, kept)
  else
    excess = level.used + level.external + kept - limit_of(level, budget) + 1
  end
  read_whole(line)
  local last = now + 1
  for _, start in ipairs(starts_of(line)) do
    local cell = line.cells[start]
    last = cell.counts_until
    excess = excess - (budget.hard and taken(cell) or cell.used + cell.external)
    if excess <= 0 then
      break
    end
  end
  return last - now
end

-- When a leg would fit if nothing else happened; -1 when it never would.
local function fits_in(budget, amount, kept)
  if budget.index == 4 then
    return max(1, budget.line.latest_expiry - now)
  elseif budget.kind == 'credit' then
    return -1
  elseif budget.kind == 'sliding' then
    return rolls_free_in(budget, amount, kept)
  end
  local ends = 0
  for _, cell in ipairs(budget.current) do
    if amount > room(cell, budget, kept) then
      ends = max(ends, cell.counts_until)
    end
  end
  return (ends > 0 and ends or now + 1) - now
end

local function fullest_of(budget)
  local fullest = budget.weighed[1]
  for _, level in ipairs(budget.weighed) do
    if taken(level) > taken(fullest) then
      fullest = level
    end
  end
  return fullest
end

-- A denial: offer, budget or subject, cause, retry_after, fits_in, limit, left, unit, by_holds.
local function denial(offer, budget, amount, kept)
  local fullest = fullest_of(budget)
  local limit, unit = limit_of(fullest, budget), UNITS[budget.index]
  local left = max(0, limit - taken(fullest))
  if budget.hard and amount + kept > budget.limit then
    local cause = amount > budget.limit and 'too_large' or 'headroom'
    return { offer, budget.id, cause, -1, -1, budget.limit, left, unit, false }
  elseif recovering(budget) then
    local wait = meta.closed_until - now
    return { offer, budget.id, 'recovering', wait, wait, limit, left, unit, false }
  end
  local wait, by_holds = fits_in(budget, amount, kept), budget.hard
  for _, level in ipairs(budget.weighed) do
    by_holds = by_holds and amount <= room(level, budget, kept) + level.held
  end
  local again = wait
  if by_holds then
    again = wait > 0 and min(SECOND, wait) or SECOND
  end
  local cause = budget.payer and 'tenant' or 'budget'
  if fits(budget, amount, 0) then
    cause = 'headroom'
  elseif budget.kind == 'credit' and fits(budget, amount, -expired(budget)) then
    cause = 'expired'
  end
  return { offer, budget.id, cause, again, wait, limit, left, unit, by_holds }
end

-- What is left is kept for somebody who came first and waits for it; he may have it any moment.
local function queued(offer, budget)
  local fullest = fullest_of(budget)
  local limit = limit_of(fullest, budget)
  return { offer, budget.id, 'queued', SECOND, SECOND, limit, max(0, limit - taken(fullest)), UNITS[budget.index], true }
end

-- What one offer draws on for one payer, brought to now: its budgets, its legs on their current cells, its shape.
local draws

at_start(function()
  draws = {}
end)

local function draw_at(place)
  local draw = draws[place]
  if draw then
    return draw
  end
  local offer, plan, who, account, model, slot, places = unpack(request.draws[place])
  local told, legs = {}, {}
  draw = { place = place, offer = offer, plan = plan, who = who, subjects = { account, model, slot }, budgets = {}, legs = legs,
    lease = 0 }
  for number, budget_place in ipairs(places) do
    local budget = budget_at(budget_place)
    draw.budgets[number] = budget
    if budget.index == 4 then
      draw.lease = request.lease -- a place is lent, however long the hold was to live (I18)
    end
    for _, cell in ipairs(budget.current) do
      legs[#legs + 1] = { line = budget.line, unit = budget.index, cell = cell }
      local size = #told
      told[size + 1], told[size + 2], told[size + 3] = budget.id, budget.index, cell.start
    end
  end
  draw.shape = pack(told)
  legs_by_shape[draw.shape] = legs
  draws[place] = draw
  return draw
end

-- The denial of an offer whose account, model or slot a vendor closed; the longest closing counts.
local function closed(draw)
  local subject, longest = nil, nil
  for _, name in ipairs(draw.subjects) do
    local closure = closures[name]
    if closure and (not longest or closure[1] > longest[1]) then
      subject, longest = name, closure
    end
  end
  if not longest then
    return nil
  end
  local wait = longest[1] - now
  return { draw.offer, subject, 'closed:' .. longest[2], wait, wait, 0, 0, '', false }
end

local function lasts(refusal)
  return refusal[5] < 0 and FOREVER or refusal[5]
end

-- Name the budget that keeps the offer out longest; one that waiting cannot cure beats all.
local function explain(draw, amounts, own, tier, behind)
  local longest = nil
  for _, budget in ipairs(draw.budgets) do
    local amount, kept = amounts[budget.index], kept_from(tier, budget)
    local found = nil
    if not admits(budget, amount, own, kept) then
      found = denial(draw.offer, budget, amount, kept)
    elseif not leaves(budget, amount, own, behind) then
      found = queued(draw.offer, budget)
    end
    if found then
      if not longest or lasts(found) > lasts(longest) then
        longest = found
      end
    end
  end
  return longest
end

local function refused(draw, amounts, own, tier, behind)
  local refusal = any_closed and closed(draw) or nil
  if refusal then
    return refusal
  end
  local drawn = draw.budgets
  for number = 1, #drawn do
    local budget = drawn[number]
    local amount = amounts[budget.index]
    if not (admits(budget, amount, own, kept_from(tier, budget)) and leaves(budget, amount, own, behind)) then
      return explain(draw, amounts, own, tier, behind)
    end
  end
  return nil
end

-- Return the first offer that fits: its draw, what it needs, its amounts in units (one table for all, until the next
-- call); before them the denials of those before it. What is certain to have been admitted already always fits.
local TIER, BEHIND, OFFER_SIZE, NO_DENIALS, amounts = 8, 9, 5, {}, { 0, 0, 0, 1 }

local function denied(denials, refusal)
  if denials == NO_DENIALS then
    return { refusal }
  end
  denials[#denials + 1] = refusal
  return denials
end

function first_fit(reserve, own, certain)
  local row, denials = reserve.row, NO_DENIALS
  for first = reserve.offers, reserve.last, OFFER_SIZE do
    local place, prompt, output, cost, requests = unpack(row, first, first + OFFER_SIZE - 1)
    if type(place) == 'string' then
      denials = denied(denials, { place, place, 'unknown_offer', -1, -1, 0, 0, '', false })
    else
      local draw = draws[place] or draw_at(place)
      amounts[1], amounts[2], amounts[3] = requests, prompt + output, cost
      local refusal = not certain and refused(draw, amounts, own, reserve[TIER], reserve[BEHIND]) or nil
      if not refusal then
        return denials, draw, amounts, prompt, output, cost, requests
      end
      denials = denied(denials, refusal)
    end
  end
  return denials
end
end
