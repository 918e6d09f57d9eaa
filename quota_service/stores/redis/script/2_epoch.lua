-- Is this still the ledger we knew? A flush, a failover, a restored backup or a restart without its log are noticed
-- here, in every batch, and close every hard budget for a while (I19).

local events

at_start(function()
  events = {}
end)

local function close_for(milliseconds, why)
  note('closed_until', max(meta.closed_until, now + milliseconds))
  events[#events + 1] = why
end

local function state_is_lost(why)
  if meta.epoch ~= '' then
    note('previous', meta.epoch)
  end
  note('epoch', request.fresh)
  note('lost_at', now)
  note('lost_batches', meta.batches)
  close_for(request.long, why)
end

local function check_epoch()
  local server = call('INFO', 'replication')
  local repl_id = string.match(server, 'master_replid:(%w+)') or ''
  local promoted = not string.find(server, 'master_replid2:0000000000000000', 1, true)
  local moved = meta.run_id ~= request.run_id or meta.repl_id ~= repl_id
  if meta.epoch == '' then
    note('previous', request.epoch)
    if request.epoch == '' then
      note('epoch', request.fresh)
      close_for(request.short, 'new')
    else
      state_is_lost('flushed')
    end
  elseif request.epoch ~= '' and request.epoch ~= meta.epoch and request.epoch ~= meta.previous then
    note('previous', request.epoch)
    note('lost_at', now)
    note('lost_batches', 0)
    close_for(request.long, 'another ledger')
  elseif request.epoch == meta.epoch and request.seen > meta.batches then
    state_is_lost('older than acknowledged')
  elseif moved and (promoted or not request.sure) then
    state_is_lost(promoted and 'failover' or 'restarted without a certain log')
  elseif moved then
    close_for(request.short, 'restarted')
  end
  note('run_id', request.run_id)
  note('repl_id', repl_id)
end

-- A loss is told before anything is decided, so that what the asker remembers is put right first: what is decided on
-- levels that are too low would be lost among what is told back.
local function knows_the_epoch()
  return request.epoch == '' or request.epoch == meta.epoch
end

-- Does the asker know of anything that is missing? What is kept is the beginning of what happened, so that who has been
-- acknowledged no more batches than there were knows of nothing else.
local function misses()
  return request.epoch ~= meta.previous or request.seen > meta.lost_batches
end
