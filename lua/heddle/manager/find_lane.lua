--- The short way of `find_one`: by a key of one value, without options, of an entity that is read as it is stored. One
--- call of the core does what lists of parameters, rows and results are made for elsewhere.
local later = require("heddle.later")
local core = require("heddle.core")
local custom = require("heddle.custom")
local fetch = require("heddle.fetch")
local merge = later.module("heddle.merge")
local populate = require("heddle.populate")
local select = require("heddle.select")
local wait = require("heddle.wait")
local waiting = require("heddle.waiting")

local find_lane = {}

local DONE, ROW, WAIT = wait.DONE, wait.ROW, wait.WAIT

-- The plan, or false: what does not change in a mapping's life.
local function plan_of(map)
  local is_simple = map.root == map and map.members == nil and #map.key == 1 and map.embedded[1] == nil
    and map.expression == nil and map.named == nil and custom.columns(map)[1] == nil
    and not custom.source(map.key[1]).converts and populate.eager_views(map)[1] == nil
    and map.meta.hooks.on_load == nil
  map.find_lane = is_simple and select.by_key(map)
  return map.find_lane
end

-- Whether statements go anywhere else than over the entity manager's own link, or somebody is told of them.
local function is_watched(em, context)
  local config, listeners = context.config, context.listeners
  return context.replicas or em.test or em.chunk_link or config.debug or config.is_told or listeners.on_load
    or listeners.query
end

-- A wait for the database, when nobody else runs meanwhile, needs none of what the others do.
local function carry(em, link, status, fd, events, timeout)
  if status == WAIT and fd and waiting.here() == nil then status, fd, events, timeout = link:block() end
  if status >= WAIT then status = em:carry(link, status, fd, events, timeout) end
  return status
end

local function carry_on(em, plan, shelf, link, status, fd, events, timeout)
  local e, late
  while status ~= DONE do
    status = carry(em, link, status, fd, events, timeout)
    if status == ROW then
      local found, rest
      status, found, rest, fd, events, timeout = core.found(link, nil, plan.hydrator, shelf)
      e, late = e or found, late or rest
    end
  end
  return e, late
end

---The instance that a key finds in the database. What is managed under it already is left to the long way.
---@param em heddle.EntityManager
---@param entity table|string
---@param key any
---@return boolean answered
---@return table|nil e
function find_lane.read(em, entity, key)
  local mappings = em and em.mappings
  local map = mappings and mappings.by_class[entity]
  local plan = map and map.find_lane
  if plan == nil and map then plan = plan_of(map) end
  if not plan then return false end
  local context = em.context
  if is_watched(em, context) then return false end
  local kind = type(key)
  if kind ~= "number" and kind ~= "string" or key ~= key then return false end
  if context.global == em then em:check_global() end
  em:enter()
  local query = plan.model == em.model and plan.query or fetch.prepare(em, plan)
  local link, shelf = em.link or em:open_link(), em.shelves[map] or em:shelf_of(map)
  local status, e, late, fd, events, timeout = core.find(link, query, plan.hydrator, shelf, key, waiting.here() == nil)
  if status == nil then return false end
  if status ~= DONE then
    local found, rest = carry_on(em, plan, shelf, link, status, fd, events, timeout)
    e, late = e or found, late or rest
  end
  if late then merge.late(shelf, plan, late) end
  return true, e
end

return find_lane
