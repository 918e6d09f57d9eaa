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

-- What replicas remember of levels that were lost: `used` is raised to it, and what was held and is not found again is
-- counted as spent when the budgets open (I5, I19).
local function restate(told)
  local id, start, ends, counts_until, used, held = unpack(told)
  if counts_until <= now then
    return
  end
  local line = line_of(id)
  local cell = cell_at(line, start, ends, counts_until)
  if used > cell.used then
    local by = used - cell.used
    book(line, cell, by, 0)
    tell('restate', '', '', 1)
    tell_move(line, cell, by, 0)
  end
  cell.kept = true
  if meta.closed_until > now then
    local known = missing_of(id, cell)
    known[1] = max(known[1], held)
  end
end

local function reopen()
  local fields = call('HGETALL', prefix .. 'missing')
  for place = 1, #fields, 2 do
    local id, start, ends, counts_until = unpack(unpack_message(fields[place]))
    if counts_until > now then
      local line = line_of(id)
      local cell = cell_at(line, start, ends, counts_until)
      local told, found = unpack(unpack_message(fields[place + 1]))
      local by = told - found
      if by > 0 and not string.find(id, '/concurrency/', 1, true) then
        book(line, cell, by, 0)
        tell('assume', '', '', 1)
        tell_move(line, cell, by, 0)
        assumed = assumed + 1
      end
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
