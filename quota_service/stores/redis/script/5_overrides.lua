-- Overrides: limits that a person put in the place of declared ones, for a while. They are part of the definitions: each
-- change is another version, and who asks with an older one is told them and asks again (I14).

local overrides, overrides_changed

at_start(function()
  overrides, overrides_changed = nil, false
end)

-- By budget: limit, author, reason, since when, until when.
local OVERRIDE_ENDS = 5

local function read_overrides()
  if not overrides then
    overrides = {}
    local fields = call('HGETALL', prefix .. 'overrides')
    for place = 1, #fields, 2 do
      overrides[fields[place]] = unpack_message(fields[place + 1])
    end
  end
  return overrides
end

local function overrides_are(known)
  local soonest = FOREVER
  for _, override in pairs(known) do
    soonest = min(soonest, override[OVERRIDE_ENDS])
  end
  overrides, overrides_changed = known, true
  note('overridden_until', soonest < FOREVER and soonest or 0)
end

-- Forget those whose time is over.
local function expire_overrides()
  if meta.overridden_until == 0 or meta.overridden_until > now then
    return
  end
  local left = {}
  for id, override in pairs(read_overrides()) do
    if override[OVERRIDE_ENDS] > now then
      left[id] = override
    else
      freed[id] = true
    end
  end
  overrides_are(left)
  note('version', meta.version + 1)
end

-- Definitions carry one version, and who has older ones is told so. Who has newer ones knows what the store has lost.
local function check_version()
  if request.version > meta.version then
    note('version', request.version)
    note('definitions', request.definitions)
    overrides_are(request.overrides)
  end
  return request.version == meta.version
end

-- Set an override, or remove it when there is no limit; it counts from the next batch on.
local function override(row, first, last)
  local _, id, limit, author, reason, ends, remark = unpack(row, first, last)
  local known = read_overrides()
  known[id] = limit >= 0 and { limit, author, reason, now, ends } or nil
  overrides_are(known)
  freed[id] = true
  note('version', request.version + 1)
  tell('override', '', remark, 0)
  return { 'done', false, false }
end

local function write_overrides()
  if overrides_changed then
    local key = prefix .. 'overrides'
    call('DEL', key)
    for id, override in pairs(overrides) do
      call('HSET', key, id, pack(override))
    end
  end
end
