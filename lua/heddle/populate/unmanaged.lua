--- The loader of populate for instances of nobody. Within one query a row is one instance here too, so that relations
--- that lead in a circle come to an end.
local custom = require("heddle.custom")
local given_key = require("heddle.given_key")
local instance = require("heddle.instance")
local members = require("heddle.relations.members")
local op = require("heddle.op")
local populate = require("heddle.populate")
local relations = require("heddle.relations")

local Loader = {}
Loader.__index = Loader

local unmanaged = {}

---@param read fun(map: table, where: table, opts: table|nil): table[] runs a query for unmanaged instances
---@param read_members fun(view: table, keys: table[]): table[], any[] the same for members of a relation, with the keys
---of their owners
function unmanaged.loader(read, read_members)
  return setmetatable({ read = read, read_members = read_members, known = {} }, Loader)
end

local function name_of(key)
  local parts = {}
  for i = 1, #key do parts[i] = #tostring(key[i]) .. ":" .. tostring(key[i]) end
  return table.concat(parts, ",")
end

-- The instances of an entity by their keys.
local function known_of(self, map)
  local root = map.root
  self.known[root] = self.known[root] or {}
  return self.known[root]
end

-- The key that a relation's columns hold; nil when it is NULL, or was not read.
local function foreign_key(e, view)
  local own = getmetatable(e).own
  return own and own.keys and own.keys[view.name]
end

local function fill(self, map, keys)
  local known, fresh = known_of(self, map), {}
  for part in populate.parts(map, keys) do
    for _, e in ipairs(self.read(map, op.one_of(part))) do
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

local function fill_list(e, view, list)
  local state = relations.collection(e, view.name)
  if not state.initialized then state:fill(list) end
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
      if view.kind == "one_to_one" and view.inverse then fill_list(target, view.inverse, { e }) end
      if wanted[name] then targets[#targets + 1] = target end
      wanted[name] = nil
    end
  end
  return targets
end

local function part_of(others, row, width)
  local key = {}
  for i = 1, width do key[i] = others[(row - 1) * width + i] end
  return key
end

-- The rows as instances, each once, and by the names of their owners' keys.
local function take(self, view, rows, others, lists)
  local known, fresh = known_of(self, view.target), {}
  local width = rows[1] and #others / #rows
  for i, row in ipairs(rows) do
    local name, owner = name_of(given_key.of(row, view.target)), name_of(part_of(others, i, width))
    if not known[name] then
      known[name] = row
      fresh[#fresh + 1] = row
    end
    lists[owner] = lists[owner] or {}
    table.insert(lists[owner], known[name])
  end
  return fresh
end

-- The owner is what the member's own side of the relation leads to.
local function point_back(view, list, owner)
  for _, member in ipairs(view.kind ~= "many_to_many" and list or {}) do
    instance.own(member).values[view.inverse.name] = owner
  end
end

-- Those whose members nobody has read, by the names of their keys; and the keys.
local function unread(map, view, list)
  local owners, keys = {}, {}
  for _, e in ipairs(list) do
    local key = given_key.of(e, map)
    local name = key and name_of(key)
    if name and not owners[name] and not relations.collection(e, view.name).initialized then
      owners[name] = e
      keys[#keys + 1] = custom.key(map.key, key, custom.from_db)
    end
  end
  return owners, keys
end

---Reads the members of a relation and fills the collections; gives all members, each once.
function Loader:members(map, view, list)
  local owners, keys = unread(map, view, list)
  local lists, fresh = {}, {}
  for part in populate.parts(map, keys) do
    local rows, others = self.read_members(view, part)
    for _, e in ipairs(take(self, view, rows, others, lists)) do fresh[#fresh + 1] = e end
  end
  for name, e in pairs(owners) do
    point_back(view, lists[name], e)
    fill_list(e, view, members.distinct(view, lists[name]))
  end
  populate.eager(self, view.target, fresh)
  local seen, all = {}, {}
  for _, e in ipairs(list) do
    for _, member in ipairs(relations.collection(e, view.name):known()) do
      if not seen[member] then
        seen[member] = true
        all[#all + 1] = member
      end
    end
  end
  return all
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
  for part in populate.parts(map, keys) do
    for _, row in ipairs(self.read(map, op.one_of(part), { fields = fields })) do
      local e = by_name[name_of(given_key.of(row, map))]
      for _, view in ipairs(views) do e[view.name] = instance.copy(row[view.name]) end
    end
  end
end

return unmanaged
