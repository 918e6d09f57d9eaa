-- What nobody asks for and has to be done: lapses, forgetting, and what is put right after the state was lost.

local forgotten, forgotten_keys, assumed
local COUNTS = { ended = 'ended_count', lapsed = 'lapsed_count' }

at_start(function()
  forgotten, forgotten_keys, assumed = { ended = {}, lapsed = {} }, {}, 0
end)

-- Forget holds whose time is over and the oldest beyond the bound. Those that ended together are forgotten together;
-- so many at a time that forgetting keeps pace.
local function forget(name, keep, at_most)
  local count = meta[COUNTS[name]] + #ended[name]
  local gone = forgotten[name]
  while #forgotten_keys < at_most do
    local raw = call('LINDEX', prefix .. name, #gone)
    local group = raw and unpack_message(raw)
    if not group or (group[1] + keep > now and count - #group + 1 < request.most) then
      break
    end
    gone[#gone + 1] = true
    count = count - #group + 1
    for place = 2, #group do
      forgotten_keys[#forgotten_keys + 1] = prefix .. 'h:' .. group[place]
    end
  end
  note(COUNTS[name], count)
end

local function put_right(kind, line, cell, by)
  if by > 0 then
    book(line, cell, by, 0)
    tell(kind, '', '', 1)
    tell_move(line, cell, by, 0)
  end
  cell.kept = true
end

local function is_lent(id)
  return string.find(id, '/concurrency/', 1, true) ~= nil
end

-- What a process remembers of levels that were lost (I5, I19). `used` is raised by what it knows beyond what others have
-- told; what was held and is not found again counts as spent when the budgets open, and at once when they are open.
local function restate(told)
  local id, start, ends, counts_until, used, held = unpack(told)
  if counts_until <= now then
    return
  end
  local line = line_of(id)
  local cell = cell_at(line, start, ends, counts_until)
  if meta.closed_until <= now then
    local lost = is_lent(id) and 0 or held
    put_right('restate', line, cell, max(used - cell.used, used + lost - cell.used - cell.held))
    return
  end
  local known = missing_of(id, cell)
  put_right('restate', line, cell, used - known.used)
  known.used, known.total = max(known.used, used), max(known.total, used + held)
end

local function reopen()
  local fields = call('HGETALL', prefix .. 'missing')
  for place = 1, #fields, 2 do
    local id, start, ends, counts_until = unpack(unpack_message(fields[place]))
    local known = unpack_message(fields[place + 1])
    local by = known.total - known.used - known.found
    if counts_until > now and by > 0 and not is_lent(id) then
      local line = line_of(id)
      put_right('assume', line, cell_at(line, start, ends, counts_until), by)
      assumed = assumed + 1
    end
  end
  note('closed_until', 0)
  events[#events + 1] = 'reopened'
end

-- Lapse what is due, so many at a time; the rest lapses with the next batch, or when it is touched.
local function lapse_due(due)
  for _, id in ipairs(due) do
    local hold = holds[id]
    if hold and hold[STATE] == 'held' then
      hold_of(id)
    else
      closed_ids[#closed_ids + 1] = id -- a leftover: its hold has ended or is gone
    end
  end
end
