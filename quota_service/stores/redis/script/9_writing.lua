-- Everything has been decided; from here on there are only writes. The first one is of a kind that a full store, a
-- replica or a failing disk refuses, so that it refuses the batch as a whole.

local touched, write_everything

do -- a block of its own, for Lua has room for two hundred names in one
local SLACK = 172800000 -- a line outlives the last cell that was looked at by two days, to know where its last window ended

at_start(function()
  touched = {}
end)

local function cell_changed(cell)
  return cell.kept or cell.used ~= cell.used_before or cell.held ~= cell.held_before or
    cell.external ~= cell.external_before or cell.vendor_limit ~= cell.limit_before
end

local function write_line(line)
  local arguments, last = {}, 0
  for start, cell in pairs(line.cells) do
    if cell_changed(cell) then
      local size = #arguments
      arguments[size + 1] = text(start)
      arguments[size + 2] = pack(cell.ends, cell.counts_until, cell.used, cell.held, cell.external, cell.vendor_limit)
      touched[#touched + 1] = { line.id, start, cell.ends, cell.counts_until, cell.used, cell.held }
      line.oldest = min(line.oldest, cell.counts_until)
    end
    last = max(last, cell.counts_until)
  end
  if #arguments == 0 and #line.gone == 0 and not line.changed then
    return
  end
  local total = line.total
  call('HSET', line.key, 't', pack(line.oldest, total.used, total.held, total.external, total.vendor_limit,
    line.last_end, line.latest_expiry), unpack(arguments))
  if #line.gone > 0 then
    call('HDEL', line.key, unpack(line.gone))
  end
  if not line.known then
    call('SADD', prefix .. 'lines', line.id)
  end
  if last ~= 0 and last ~= FOREVER then
    call('PEXPIRE', line.key, text(last - now + SLACK))
  end
end

local function write_holds()
  local arguments, key = {}, prefix .. 'h:'
  for id, hold in pairs(changed_holds) do
    local state, size = hold[STATE], #arguments
    local whole = state == 'held' or state == 'lapsed'
    arguments[size + 1] = key .. id
    arguments[size + 2] = pack(unpack(hold, 1, whole and SHAPE or LEASE))
    if size > 1000 then
      call('MSET', unpack(arguments))
      arguments = {}
    end
  end
  if #arguments > 0 then
    call('MSET', unpack(arguments))
  end
end

local function write_in_parts(command, key, arguments)
  for first = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, first, min(#arguments, first + 999)))
  end
end

local function write_expiries()
  write_in_parts('ZREM', prefix .. 'open', closed_ids)
  local arguments = {}
  for id, expires in pairs(opened) do
    local size = #arguments
    arguments[size + 1], arguments[size + 2] = expires, id
  end
  write_in_parts('ZADD', prefix .. 'open', arguments)
end

local function write_memory()
  for _, name in ipairs({ 'ended', 'lapsed' }) do
    local key = prefix .. name
    if #ended[name] > 0 then
      call('RPUSH', key, pack({ now, unpack(ended[name]) }))
    end
    if #forgotten[name] > 0 then
      call('LPOP', key, #forgotten[name])
    end
  end
  for first = 1, #forgotten_keys, 1000 do
    call('UNLINK', unpack(forgotten_keys, first, min(#forgotten_keys, first + 999)))
  end
end

local function read_spend()
  for day, rows in pairs(spend) do
    local key = prefix .. 's:' .. text(day)
    for group, row in pairs(rows) do
      local known = call('HGET', key, group)
      if known then
        for place, figure in ipairs(unpack_message(known)) do
          row[place] = row[place] + figure
        end
      end
    end
  end
end

local function write_spend()
  for day, rows in pairs(spend) do
    local key, arguments = prefix .. 's:' .. text(day), {}
    for group, row in pairs(rows) do
      arguments[#arguments + 1] = group
      arguments[#arguments + 1] = pack(row)
    end
    write_in_parts('HSET', key, arguments)
    call('EXPIRE', key, request.spend_seconds, 'NX')
    call('SADD', prefix .. 'days', text(day))
  end
  for _, known in pairs(labels_of) do
    if #known.new > 0 then
      write_in_parts('SADD', known.key, known.new)
      call('EXPIRE', known.key, request.label_seconds, 'NX')
    end
  end
end

local function write_closures()
  for subject, closure in pairs(closure_changes) do
    if closure then
      call('HSET', prefix .. 'closures', subject, pack(closure))
    else
      call('HDEL', prefix .. 'closures', subject)
    end
  end
end

-- The journal: a batch is one entry, numbered by how many lines there were; the oldest lines beyond the bound go.
local function write_journal()
  if journal_lines > 0 then
    local line = pack({ now, told_cells, journal })
    call('XADD', prefix .. 'journal', 'MINID', '~', text(max(0, meta.count - request.journal)), text(meta.count) .. '-1', 'b', line)
  end
end

local function anything_to_write()
  if next(changed_holds) or next(closure_changes) or next(missing) or next(meta_changes) then
    return true
  end
  return journal_lines > 0 or #closed_ids > 0 or #forgotten_keys > 0
end

local function lines_changed()
  for _, line in pairs(lines) do
    if line.changed or #line.gone > 0 then
      return true
    end
    for _, cell in pairs(line.cells) do
      if cell_changed(cell) then
        return true
      end
    end
  end
  return false
end

local function write_meta()
  meta.batches, meta.count = meta.batches + 1, meta.count + journal_lines
  local arguments = { 'clock', string.format('%.17g', meta.clock), 'wall', string.format('%.17g', meta.wall),
    'batches', text(meta.batches), 'count', text(meta.count) }
  meta_changes.wall = nil
  for name, value in pairs(meta_changes) do
    arguments[#arguments + 1] = name
    arguments[#arguments + 1] = type(value) == 'number' and text(value) or value
  end
  call('HSET', prefix .. 'meta', unpack(arguments))
end

function write_everything()
  if not anything_to_write() and not lines_changed() then
    return
  end
  read_spend()
  write_meta()
  for _, line in pairs(lines) do
    write_line(line)
  end
  write_holds()
  write_expiries()
  write_memory()
  write_spend()
  write_closures()
  write_overrides()
  write_journal()
  for key, known in pairs(missing) do
    call('HSET', prefix .. 'missing', key, pack(known))
  end
  if events[#events] == 'reopened' then
    call('DEL', prefix .. 'missing')
  end
  local names = {}
  for id in pairs(freed) do
    names[#names + 1] = id
  end
  if #names > 0 then
    call('PUBLISH', prefix .. 'freed', pack({ request.replica, names }))
  end
end
end
