--- The loader of populate for instances of nobody. Within one query a row is one instance here too, so that relations
--- that lead in a circle come to an end.
local later = require("heddle.later")
local custom = require("heddle.custom")
local fetch = later.module("heddle.fetch")
local find_options = later.module("heddle.find_options")
local given_key = require("heddle.given_key")
local instance = require("heddle.instance")
local loads = require("heddle.loads")
local members = require("heddle.relations.members")
local op = require("heddle.op")
local populate = require("heddle.populate")
local relations = later.module("heddle.relations")
local select = require("heddle.select")

local Loader = {}
Loader.__index = Loader

local unmanaged = {}

local none = {}

---@param em heddle.EntityManager
---@param opts? table of the query
function unmanaged.loader(em, opts)
  return setmetatable({ em = em, opts = opts, shared = find_options.shared(opts), known = {} }, Loader)
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

-- Reads rows by their keys.
local function read(self, map, keys, below)
  local own, found = below.own, {}
  for part in populate.parts(map, keys) do
    local where = op.one_of(part)
    if own.where ~= nil then where = op.all({ where, own.where }) end
    local plan, params = select.find(map, where, { fields = own.fields, exclude = own.exclude }, true, below.named)
    for _, e in ipairs(fetch.plain_rows(self.em, plan, params, self.shared)) do found[#found + 1] = e end
  end
  return found
end

-- What a row that is known lacked and another reading of it has.
local function complete(e, row)
  local own, other = getmetatable(e).own, getmetatable(row).own
  for _, prop in ipairs(getmetatable(e).definition.properties) do
    local name = prop.name
    if own.unloaded[name] and not (other and other.unloaded and other.unloaded[name]) then
      own.unloaded[name] = false
      if other and other.values[name] ~= nil then own.values[name] = other.values[name] end
      if other and other.keys then
        own.keys, own.views = own.keys or {}, own.views or other.views
        own.keys[name] = other.keys[name]
      end
      rawset(e, name, rawget(row, name))
    end
  end
end

local function tell(self, map, list)
  if loads.is_heard(self.em, map.root) then loads.tell(self.em, list) end
end

-- Those that are known already get what they lacked.
local function take(self, map, rows, below)
  if #map.key == 0 then
    tell(self, map, rows)
    return rows
  end
  local known, fresh = known_of(self, map), {}
  for i, row in ipairs(rows) do
    local name = name_of(given_key.of(row, map))
    local e = known[name]
    if not e then
      known[name], fresh[#fresh + 1] = row, row
    else
      if getmetatable(e).own and getmetatable(e).own.unloaded then complete(e, row) end
      rows[i] = e
    end
  end
  tell(self, map, fresh)
  populate.eager(self, map, fresh, below)
  return rows
end

local function lacks(e, views)
  local own = getmetatable(e).own
  local unloaded = own and own.unloaded
  for i = 1, unloaded and #views or 0 do
    if unloaded[views[i].name] then return true end
  end
  return false
end

-- The properties that a level asks for.
local function views_of(map, own)
  local views, seen = {}, {}
  for _, column in ipairs((select.columns_of(map, own))) do
    if not seen[column.view] then views[#views + 1] = column.view end
    seen[column.view] = true
  end
  return views
end

-- Members that are known may lack something that is asked for.
local function complete_all(self, map, list, below)
  local views, keys = views_of(map, below.own), {}
  for _, e in ipairs(list) do
    if lacks(e, views) then keys[#keys + 1] = custom.key(map.key, given_key.of(e, map), custom.from_db) end
  end
  if keys[1] then take(self, map, read(self, map, keys, below), below) end
end

---Notes instances that are there already.
function Loader:know(map, list)
  local known = known_of(self, map)
  if #map.key == 0 then return end
  for _, e in ipairs(list) do
    local key = given_key.of(e, map)
    if key then known[name_of(key)] = known[name_of(key)] or e end
  end
end

---A relation that was read leads somewhere.
function unmanaged.point_to(e, view, target)
  instance.own(e).values[view.name] = target
  local back = view.kind == "one_to_one" and view.inverse and relations.collection(target, view.inverse.name)
  if back and not back.initialized then back:fill({ e }) end
end

-- The keys that some lead to and that lack something; with a condition all of them.
local function wanted_keys(self, view, list, below)
  local map, known, seen, keys = view.target, known_of(self, view.target), {}, {}
  local views = views_of(map, below.own)
  for _, e in ipairs(list) do
    local key = foreign_key(e, view)
    local name = key and name_of(key)
    if name and not seen[name] then
      seen[name] = true
      if below.own.where ~= nil or not known[name] or lacks(known[name], views) then
        keys[#keys + 1] = custom.key(map.key, key, custom.from_db)
      end
    end
  end
  return keys
end

---Lets a relation lead to what is known.
function Loader:point(view, list)
  local known = known_of(self, view.target)
  for _, e in ipairs(list) do
    local key = foreign_key(e, view)
    local target = key and known[name_of(key)]
    if target then unmanaged.point_to(e, view, target) end
  end
end

---Reads the targets of a relation and puts them in their places; gives those that were asked for, each once.
function Loader:targets(level, view, list)
  local below, map = level.below[view.name], view.target
  populate.asked(level, view, self.em, self.opts)
  local found = {}
  local keys = wanted_keys(self, view, list, below)
  if keys[1] then
    for _, e in ipairs(take(self, map, read(self, map, keys, below), below)) do found[e] = true end
  end
  local known, targets, seen = known_of(self, map), {}, {}
  for _, e in ipairs(list) do
    local key = foreign_key(e, view)
    local target = key and known[name_of(key)]
    if target then
      unmanaged.point_to(e, view, target)
      if not seen[target] and (below.own.where == nil or found[target]) then targets[#targets + 1] = target end
      seen[target] = true
    end
  end
  return targets
end

local function part_of(others, row, width)
  local key = {}
  for i = 1, width do key[i] = others[(row - 1) * width + i] end
  return key
end

-- The members by the names of their owners' keys.
local function group(rows, others, lists)
  local width = rows[1] and #others / #rows
  for i, e in ipairs(rows) do
    local owner = name_of(part_of(others, i, width))
    lists[owner] = lists[owner] or {}
    table.insert(lists[owner], e)
  end
end

-- The owner is what the member's own side of the relation leads to.
local function point_back(view, list, owner)
  for _, member in ipairs(view.kind ~= "many_to_many" and list or {}) do
    instance.own(member).values[view.inverse.name] = owner
  end
end

---The members of an owner were read; where they are known already they stay.
---@param list table[]
---@param part heddle.Part|nil what was asked for
function unmanaged.fill(e, view, list, part)
  local state = relations.collection(e, view.name)
  if members.is_shown(state, part) then return end
  point_back(view, list, e)
  state:fill(list, part)
end

-- Those of whom other members are known than are asked for, by the names of their keys; and the keys.
local function unread(map, view, list, part)
  local owners, keys = {}, {}
  for _, e in ipairs(list) do
    local key = given_key.of(e, map)
    local name = key and name_of(key)
    if name and not owners[name] and not members.is_shown(relations.collection(e, view.name), part) then
      owners[name] = e
      keys[#keys + 1] = custom.key(map.key, key, custom.from_db)
    end
  end
  return owners, keys
end

---Reads the members of a relation and fills the collections; gives all members, each once.
function Loader:members(level, view, list)
  local own, part, named = populate.asked(level, view, self.em, self.opts)
  local below = level.below[view.name]
  local owners, keys = unread(level.map, view, list, part)
  local lists = {}
  for some in populate.parts(level.map, keys) do
    local plan, params = members.find(view, some, own.where == nil and none or own.where,
      populate.selected(own, self.opts), true, named)
    local rows, others = fetch.plain_rows(self.em, plan, params, self.shared)
    group(take(self, view.target, rows, below), others, lists)
  end
  for name, e in pairs(owners) do
    unmanaged.fill(e, view, members.distinct(view, lists[name]), part)
  end
  local seen, all = {}, {}
  for _, e in ipairs(list) do
    for _, member in ipairs(relations.collection(e, view.name):known()) do
      if not seen[member] then
        seen[member] = true
        all[#all + 1] = member
      end
    end
  end
  complete_all(self, view.target, all, below)
  return all
end

return unmanaged
