--- What a context makes of its entities' named filters: who has which, what names there are, and that the conditions
--- can be read at all.
local errors = require("heddle.errors")
local options = require("heddle.options")
local later = require("heddle.later")
local select = later.module("heddle.select")

local mapped = {}

-- What is known of a name, whichever entities have a filter of it: `params`, the set of those that it takes, `any` when
-- a function takes whatever it is given.
local function note(known, named)
  local about = known[named.name] or { params = {} }
  known[named.name] = about
  if type(named.cond) ~= "function" then return end
  if not named.params then about.any = true end
  for _, param in ipairs(named.params or {}) do about.params[param] = true end
end

-- A condition that is a table is read and written as SQL once, so that its faults are met where the context is made.
local function verify(map, named)
  if type(named.cond) == "function" then return end
  local ok, err = pcall(select.count, map, named.cond)
  if ok then return end
  if not errors.is_error(err) then error(err, 0) end
  errors.raise(err.kind == "unsupported" and "unsupported" or "metadata", ("Entity '%s', filter '%s': %s"):format(
    map.name, named.name, err.message), { context = map.context, entity = map.name, property = err.property })
end

local function list_of(map, known)
  local list = {}
  for _, name in ipairs(options.sorted_keys(map.meta and map.meta.filters or {})) do
    local named = map.meta.filters[name]
    note(known, named)
    list[#list + 1] = named
  end
  return list
end

---Gives the mappings of a context their filters: `map.named`, a list, and `map.filter_names`, what names the context
---has (which the mappings together have too); nil, all, where no entity has any. Raises `metadata`, `unsupported`.
---@param made table as heddle.mapping builds it
function mapped.fill(made)
  local known, maps = {}, {}
  for _, map in pairs(made.by_class) do maps[map] = list_of(map, known) end
  for _, map in ipairs(made.list) do maps[map] = maps[map] or list_of(map, known) end
  if next(known) == nil then return end
  for map, list in pairs(maps) do
    for _, named in ipairs(list) do verify(map, named) end
  end
  for map, list in pairs(maps) do map.named, map.filter_names = list, known end
  made.filter_names = known
end

return mapped
