--- em:stream: what a query finds, row by row.
local fetch = require("heddle.fetch")
local given_key = require("heddle.given_key")
local manager = require("heddle.manager")
local named_filters = require("heddle.named_filters")
local select = require("heddle.select")
local stream = require("heddle.stream")

local Manager = manager.class
local admit = manager.admit

local UNFILTERED = { filters = false } -- the stream has found it

-- The managed instance of a row that waited to be handed out: the program may have let go of it meanwhile. nil: it is
-- not in the database any more.
local function still_managed(em, map)
  return function(e)
    local meta = getmetatable(e)
    local shelf = meta.box and meta.box.shelf
    if shelf and shelf.em == em and meta.slot_of[e] then return e end
    local key = given_key.of(e, map)
    return em:find_one(map.class, #key == 1 and key[1] or key, UNFILTERED)
  end
end

---Streams the entities that a plan finds: what stream.open gives.
---@param em table
---@param map table
---@param plan table
---@param params any[]
---@param opts table of the query
---@param level heddle.Level
function stream.entities(em, map, plan, params, opts, level)
  local is_managed = opts.managed == true and #map.key > 0
  local shared = { managed = is_managed }
  for name, value in pairs(opts) do shared[name] = shared[name] == nil and value or shared[name] end
  return stream.open(em, map.name, shared, function(rows, is_first)
    if is_first then fetch.before(em, map, plan, opts, level) end
    return (fetch.read(em, map, plan, params, rows.opts, level))
  end, is_managed and still_managed(em, map) or nil)
end

---What a filter finds, as an iterator for a generic `for`, in constant memory: instances of no entity manager, or with
---`managed = true` managed ones, which stay in the identity map until they are detached. Raises `validation`,
---`unknown_property`; each step `closed` and what the database says.
---
---Usage: `for user in em:stream(User, { active = true }, { order_by = { "id" } }) do print(user.name) end`
---@param entity table|string
---@param where table
---@param opts? table as of `find`; `managed` is false by default
---@return heddle.Stream stream a function in all but name; `stream:close()` ends it
function Manager:stream(entity, where, opts)
  admit(self)
  local map = self:mapping(entity)
  local level, own = fetch.level(map, opts)
  local plan, params = select.find(map, where, own, true, map.named and named_filters.of(self, opts))
  opts = opts or {}
  return stream.entities(self, map, plan, params, opts, level)
end

return Manager
