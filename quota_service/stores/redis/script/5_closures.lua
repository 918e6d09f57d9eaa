-- What vendors say of our quotas: they close and open subjects, count what others used, and may lower a limit.

local closures, closure_changes, any_closed

at_start(function()
  closures, closure_changes, any_closed = {}, {}, false
end)

local function read_closures()
  local fields = call('HGETALL', prefix .. 'closures')
  for place = 1, #fields, 2 do
    local until_moment, reason = unpack(unpack_message(fields[place + 1]))
    if until_moment > now then
      closures[fields[place]], any_closed = { until_moment, reason }, true
    else
      closure_changes[fields[place]] = false
    end
  end
end

-- A shorter pause never cuts a longer one.
local function close(subject, closed_for, reason)
  local known = closures[subject]
  if known and now + closed_for <= known[1] then
    return
  end
  closures[subject], any_closed = { now + closed_for, reason }, true
  closure_changes[subject] = closures[subject]
  tell('close', '', subject .. ' ' .. reason .. ' ' .. text(closed_for), 0)
end

-- Undo what was closed for that reason: the subject, and the models of an account with it.
local function open_again(subject, models, reason)
  for name, closure in pairs(closures) do
    local meant = name == subject or (models ~= '' and string.sub(name, 1, #models) == models)
    if meant and closure[2] == reason then
      closures[name] = nil
      closure_changes[name] = false
      tell('open', '', name .. ' ' .. reason, 0)
    end
  end
end

-- Raise `external` to what the vendor counts beyond us; it never falls within its window. Without a word about the limit
-- it is the declared one, whatever overrules it here.
local function compare(budget, declared, told_limit, remaining)
  local line, cell, level = budget.line, budget.current[1], budget.weighed[1]
  if remaining >= 0 then
    local limit = told_limit >= 0 and told_limit or declared
    local excess = max(0, limit - remaining) - taken(level)
    if excess > 0 then
      cell.external = cell.external + excess
      line.total.external = line.total.external + excess
    end
  end
  local lower = told_limit >= 0 and told_limit < budget.limit
  if (lower or level.vendor_limit >= 0) and cell.vendor_limit ~= told_limit then
    cell.vendor_limit = told_limit
    if line.rolls then
      read_whole(line)
      line.total.vendor_limit = last_heard(line)
    end
  end
end

local function observe(row, first, last)
  local _, subject, closed_for, opened_models, opens, reason, places, declared, told_limit, remaining = unpack(row, first, last)
  if closed_for > 0 then
    close(subject, closed_for, reason)
  end
  if opens then
    open_again(subject, opened_models, reason)
  end
  for number, place in ipairs(places) do
    compare(budget_at(place), declared[number], told_limit, remaining)
  end
  return { 'done', false, false }
end
