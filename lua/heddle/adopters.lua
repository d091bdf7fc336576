--- Adopters: what the core needs to know to make instances of a kind new rows by itself, once one of them has come the
--- long way. They have raw values and nothing else, as their metatable tells: relations and hidden values give an
--- instance a metatable of its own.
local core = require("heddle.core")
local instance = require("heddle.instance")
local kinds = require("heddle.kinds")

local adopters = {}

local NEW = 3 -- in what core.adopter gives

-- Collections ask when their owner became a row; where there can be none, nobody does.
local function has_collections(definition)
  local has = definition.has_collections
  if has == nil then
    has = false
    for _, prop in ipairs(definition.properties) do has = has or instance.kind_of(prop) == "many" end
    definition.has_collections = has
  end
  return has
end

---Instances with a metatable may be adopted by `core.adopt` from now on.
---@param em table
---@param shelf table
---@param meta table
function adopters.add(em, shelf, meta)
  local key, definition = shelf.mapping.key, meta.definition
  local first = key[1]
  if definition.readonly or first and first.at then return end
  local is_raw = first and first.raw and not first.foreign_key
  local adopter = core.adopter(shelf, shelf.new, shelf.instances, kinds.meta(shelf, meta.class, "loaded_meta"),
    has_collections(definition) and shelf.adopted, is_raw and first.property or false, shelf.shelf, shelf.slot_of,
    is_raw and not first.converts and #key == 1)
  em.adopters = em.adopters or {}
  em.adopters[meta] = adopter
  shelf.adopters = shelf.adopters or {}
  shelf.adopters[meta] = adopter
end

---The shelf's new rows are new no longer. Gives their set; what is adopted from now on goes into another.
---@param shelf table
---@return table<integer, true>
function adopters.take_new(shelf)
  local new = shelf.new
  shelf.new = {}
  for _, adopter in pairs(shelf.adopters or {}) do adopter[NEW] = shelf.new end
  return new
end

return adopters
