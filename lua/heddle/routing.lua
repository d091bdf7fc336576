--- Where a statement runs: on the primary, or on one of its replicas.
---
--- What reads outside of transactions may go to a replica. An entity manager stays with the one that it has, so that
--- what it reads does not go back in time, until that fails or `clear` begins anew. No read fails because of a replica:
--- nothing of it has been handed out when its connection breaks, and so it is repeated elsewhere.
local compat = require("heddle.compat")
local later = require("heddle.later")
local core = require("heddle.core")
local errors = require("heddle.errors")
local own_writes = require("heddle.own_writes")
local replicas = later.module("heddle.replicas")
local wait = require("heddle.wait")

local pcall = compat.pcall

local routing = {}

-- How far a server that is a standby has come. One that was promoted has no place in the primary's log.
local REPLAYED = [[SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') END::text
  AS place]]
-- The id of what ran just before, if it wrote.
local WROTE = "SELECT txid_current_if_assigned()::text"
-- Seconds after which a replica that was behind is asked again, and within which it has to answer.
local PATIENCE, LIMIT = 0.02, 1
local NOTHING = { n = 0 }

-- What the primary would not have failed with: it is there, it has connections of its own, replays nobody's log, and
-- may write.
local elsewhere = { "connection", "pool_timeout", "serialization_failure", "deadlock", "read_only" }

-- Whether the primary is the only one to ask.
local function is_bound(em)
  return em.transactions[1] ~= nil or em.flushing or em.test or em.borrowed
end

local function may_leave(em, plan, opts)
  local wanted = opts and opts.connection
  if wanted == "write" or is_bound(em) then return false end
  -- These ask for what is true now.
  return wanted == "read" or plan.lock == nil and not (opts and opts.refresh)
end

local function is_select(sql)
  return sql:find("^%s*[Ss][Ee][Ll][Ee][Cc][Tt]%f[^%w_]") ~= nil
end

-- Replicas -------------------------------------------------------------------------------------------------

-- The replica of this entity manager, and a link to it.
local function take_replica(em, tried)
  local replica, is_trial = em.replica, nil
  if not replica or tried[replica] or not replicas.is_up(replica) then
    replica, is_trial = replicas.pick(em.context.replicas, tried)
  end
  if not replica then return nil end
  tried[replica] = is_trial and "trial" or "once"
  local link = em.replica_link
  if not link or replicas.of(link) ~= replica then
    if link then link:close() end
    em.replica_link, em.wary = wait.made_by(replicas.link(em.context, replica), em.maker), true
  end
  em.replica = replica
  return replica, em.replica_link
end

-- Whether a failure is the replica's own: the read may go elsewhere.
local function is_its_own(replica, err, tried)
  for _, kind in ipairs(elsewhere) do
    if errors.is_error(err, kind) then
      if kind == "connection" then replicas.failed(replica, err, tried[replica] == "trial") end
      return true
    end
  end
  return false
end

local function closed_of(replica)
  return replica.pool:stats().closed
end

-- A server that was started again may be further back than it was: what is known of it ends with its connections.
local function is_known(replica)
  return replica.replayed ~= nil and replica.closed == closed_of(replica)
end

-- One that keeps silent is as good as gone.
local function ask_place(em, replica, link)
  local ok, rows = pcall(em.context.run_sql, em.context, link, REPLAYED, NOTHING, nil, LIMIT)
  if ok then return tonumber(rows[1].place) or 0 end
  if not errors.is_error(rows, "timeout") then error(rows, 0) end
  return errors.raise("connection", ("%s of context '%s' does not answer"):format(replica.name, em.context_name),
    { context = em.context_name, cause = rows })
end

-- Whether a replica has come as far as that.
local function has_replayed(em, replica, link, place)
  if is_known(replica) then
    if replica.replayed >= place then return true end
    if core.clock() < replica.asked + PATIENCE then return false end
  end
  replica.replayed = ask_place(em, replica, link)
  replica.asked, replica.closed = core.clock(), closed_of(replica)
  return replica.replayed >= place
end

-- One attempt on a replica. The status and the link, nil when it has to be made elsewhere.
local function attempt(em, replica, link, place, send, ...)
  if place > 0 and not has_replayed(em, replica, link, place) then return nil end
  local status = send(em, link, ...)
  replicas.answered(replica)
  if place > 0 and not is_known(replica) then
    link:reset()
    return nil
  end
  return status, link
end

-- Starts on the primary what no replica does. Who reads meanwhile may ask how far the log is before it is there.
local function write(em, send, ...)
  own_writes.note(em)
  local status, link = send(em, em:open_link(), ...)
  own_writes.note(em)
  return status, link
end

---Starts a plan where it belongs.
---@param em table
---@param send fun(em: table, link: userdata, ...): integer, userdata starts it on a link
---@param plan table
---@param opts? table of the query
---@return integer status
---@return userdata link
function routing.start(em, send, plan, opts, ...)
  if not may_leave(em, plan, opts) then
    routing.note(em, plan, opts)
    return send(em, em:open_link(), plan, ...)
  end
  local place, tried = own_writes.needed(em), {}
  if not place then
    -- A stream runs on a link of its own.
    if not opts or not opts.stream then own_writes.ask(em) end
    return send(em, em:open_link(), plan, ...)
  end
  local replica, link = take_replica(em, tried)
  while replica do
    local ok, status, used = pcall(attempt, em, replica, link, place, send, plan, ...)
    if ok and status then return status, used end
    if not ok and not is_its_own(replica, status, tried) then error(status, 0) end
    -- It is going to write where that is allowed.
    if not ok and errors.is_error(status, "read_only") then return write(em, send, plan, ...) end
    replica, link = take_replica(em, tried)
  end
  return send(em, em:open_link(), plan, ...)
end

-- Writes ---------------------------------------------------------------------------------------------------

-- A statement outside of any transaction is its own commit.
local function commits_itself(link)
  if not link then return true end
  local _, depth = link:state()
  return depth == 0
end

---A plan is going to run, or has run, that may write and commit what it wrote.
---@param plan table
---@param opts table|nil
function routing.note(em, plan, opts)
  if not (em.context.replicas and opts and opts.connection == "write") then return end
  if commits_itself(em.link) and not is_select(plan.sql) then own_writes.note(em) end
end

---Runs raw SQL on the primary. Whether a SELECT wrote, by what it called, the database says.
---@param em table
---@param link userdata the entity manager's
---@param sql string
---@param params table packed
function routing.execute(em, link, sql, params)
  if not em.context.replicas or type(sql) ~= "string" or not commits_itself(link) then
    return em.context:run_sql(link, sql, params)
  end
  local asks = is_select(sql)
  own_writes.learn(em)
  if asks then link:ask(WROTE) else own_writes.note(em) end
  local ok, rows, affected = pcall(em.context.run_sql, em.context, link, sql, params)
  if not ok then link:ask(nil) end
  if not (ok and asks) or link:answer() then own_writes.note(em) end
  if not ok then error(rows, 0) end
  return rows, affected
end

return routing
