--- The loader of populate for instances of nobody. Within one query a row is one instance here too, so that relations
--- that lead in a circle come to an end.
local custom = require("heddle.custom")
local given_key = require("heddle.given_key")
local instance = require("heddle.instance")
local populate = require("heddle.populate")

local Loader = {}
Loader.__index = Loader

local unmanaged = {}

---@param read fun(map: table, where: table, opts: table|nil): table[] runs a query for unmanaged instances
function unmanaged.loader(read)
  return setmetatable({ read = read, known = {} }, Loader)
end

local function name_of(key)
  local parts = {}
  for i = 1, #key do parts[i] = #tostring(key[i]) .. ":" .. tostring(key[i]) end
  return table.concat(parts, ",")
end

-- The instances of an entity by their keys.
local function known_of(self, map)
  self.known[map] = self.known[map] or {}
  return self.known[map]
end

-- The key that a relation's columns hold; nil when it is NULL, or was not read.
local function foreign_key(e, view)
  local own = getmetatable(e).own
  return own and own.keys and own.keys[view.name]
end

local function fill(self, map, keys)
  local known, fresh = known_of(self, map), {}
  for where in populate.filters(map, keys) do
    for _, e in ipairs(self.read(map, where)) do
      known[name_of(given_key.of(e, map))] = e
      fresh[#fresh + 1] = e
    end
  end
  populate.eager(self, map, fresh)
end

---Notes instances that are there already.
function Loader:know(map, list)
  local known = known_of(self, map)
  for _, e in ipairs(list) do
    local key = given_key.of(e, map)
    if key then known[name_of(key)] = known[name_of(key)] or e end
  end
end

---Reads the targets of a relation and puts them in their places; gives all targets, each once.
function Loader:targets(view, list)
  local known, wanted, keys = known_of(self, view.target), {}, {}
  for _, e in ipairs(list) do
    local key = foreign_key(e, view)
    local name = key and name_of(key)
    if name and not wanted[name] then
      wanted[name] = true
      if not known[name] then keys[#keys + 1] = custom.key(view.target.key, key, custom.from_db) end
    end
  end
  fill(self, view.target, keys)
  local targets = {}
  for _, e in ipairs(list) do
    local key = foreign_key(e, view)
    local name = key and name_of(key)
    local target = name and known[name]
    if target then
      getmetatable(e).own.values[view.name] = target
      if wanted[name] then targets[#targets + 1] = target end
      wanted[name] = nil
    end
  end
  return targets
end

---Reads lazy properties.
function Loader:lazy(map, views, list)
  local by_name, keys, fields = {}, {}, {}
  for i, view in ipairs(views) do fields[i] = view.name end
  for i, e in ipairs(list) do
    local key = given_key.of(e, map)
    by_name[name_of(key)] = e
    keys[i] = custom.key(map.key, key, custom.from_db)
  end
  for where in populate.filters(map, keys) do
    for _, part in ipairs(self.read(map, where, { fields = fields })) do
      local e = by_name[name_of(given_key.of(part, map))]
      for _, view in ipairs(views) do e[view.name] = instance.copy(part[view.name]) end
    end
  end
end

return unmanaged
