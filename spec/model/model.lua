--- What should be so: objects as a program sees them and rows as the database has them, in plain Lua tables.
---
--- An object is { n, kind, mark, v = scalars, to = { relation = object }, list = { pivot = { object .. } } }. Its mark:
---
---     "fresh"     made, nobody's             "managed"   it has a row
---     "new"       persisted, no row yet      "removed"   its row is to be deleted
---     "gone"      deleted: of no interest        "lost"      made in a transaction that was rolled back
---
--- Inverse sides are not stored: they are asked for. A list that is not known (its owner was read anew) is what the
--- database has, without `cut`, with `put` behind it. `rows[object]` is { v, to, list }, what the database holds.
--- What a flush makes of all that stands in rows.lua.

local schema = require("spec.model.schema")

local Model = {}
Model.__index = Model

function Model.new()
  return setmetatable({ objects = {}, by_number = {}, rows = {}, saved = {} }, Model)
end

local function copy(map)
  local made = {}
  for key, value in pairs(map) do made[key] = value end
  return made
end

local function copy_lists(lists)
  local made = {}
  for name, list in pairs(lists) do made[name] = copy(list) end
  return made
end

local function find(list, item)
  for i, each in ipairs(list) do
    if each == item then return i end
  end
end
Model.find, Model.copy, Model.copy_lists = find, copy, copy_lists

local function is_alive(o) return o.mark ~= "gone" and o.mark ~= "lost" end
local function is_managed(o) return o.mark == "new" or o.mark == "managed" or o.mark == "removed" end
local function is_staying(o) return o.mark == "new" or o.mark == "managed" end
Model.is_alive, Model.is_staying = is_alive, is_staying

-- Memory ---------------------------------------------------------------------------------------------------

function Model:make(n, kind, values)
  local o = { n = n, kind = kind, mark = "fresh", v = copy(values), made = copy(values), to = {}, list = {},
    known = {}, put = {}, cut = {} }
  for name in pairs(schema.kinds[kind].lists or {}) do
    o.list[name], o.known[name], o.put[name], o.cut[name] = {}, true, {}, {}
  end
  self.objects[#self.objects + 1], self.by_number[n] = o, o
  return o
end

--- Objects of a kind with one of the marks, in the order of making.
function Model:all(kind, ...)
  local found = {}
  for _, o in ipairs(self.objects) do
    if (not kind or o.kind == kind) and find({ ... }, o.mark) then found[#found + 1] = o end
  end
  return found
end

--- Of two objects that hold the one place of a one_to_one the newcomer stays.
function Model:relate(o, name, target)
  if o.to[name] == target then return end
  if target and schema.kinds[o.kind].refs[name].single then
    for _, other in ipairs(self.objects) do
      if is_alive(other) and other.kind == o.kind and other.to[name] == target then other.to[name] = nil end
    end
  end
  o.to[name] = target
end

--- Those whose relation leads to an object.
function Model:referring(kind, name, target)
  local found = {}
  for _, o in ipairs(self.objects) do
    if is_alive(o) and o.kind == kind and o.to[name] == target then found[#found + 1] = o end
  end
  return found
end

--- The members of a list in their order.
function Model:members(o, name)
  if o.known[name] then return o.list[name] end
  local row, made = self.rows[o], {}
  for _, item in ipairs(row and row.list[name] or {}) do
    if not find(o.cut[name], item) then made[#made + 1] = item end
  end
  for _, item in ipairs(o.put[name]) do
    if not find(made, item) then made[#made + 1] = item end
  end
  return made
end

local function cut(list, item)
  local at = find(list, item)
  if at then table.remove(list, at) end
end

function Model.put(_, o, name, item)
  if o.known[name] then
    if not find(o.list[name], item) then table.insert(o.list[name], item) end
  elseif not find(o.put[name], item) then
    cut(o.cut[name], item)
    table.insert(o.put[name], item)
  end
end

function Model.cut(_, o, name, item)
  if o.known[name] then
    cut(o.list[name], item)
  elseif not find(o.cut[name], item) then
    cut(o.put[name], item)
    table.insert(o.cut[name], item)
  end
end

--- The list is exactly this, in this order.
function Model.set(_, o, name, items)
  o.list[name], o.known[name] = copy(items), true
end

--- The list has been read.
function Model:know(o, name)
  self:set(o, name, self:members(o, name))
end

-- Keys -----------------------------------------------------------------------------------------------------

--- The key as text; nil while the database is to give it.
function Model.key(_, o)
  local parts = {}
  for i, name in ipairs(schema.kinds[o.kind].key) do
    if o.v[name] == nil then return nil end
    parts[i] = tostring(o.v[name])
  end
  return table.concat(parts, ",")
end

--- The object that takes over the row of a removed one.
function Model:heir(o)
  if o.mark ~= "removed" then return nil end
  local key = self:key(o)
  for _, other in ipairs(self.objects) do
    if other.kind == o.kind and is_staying(other) and self:key(other) == key then return other end
  end
end

--- Whether an object takes over a row, or has its row taken over.
function Model:shares_row(o)
  if self:heir(o) then return true end
  for _, other in ipairs(self.objects) do
    if other.mark == "removed" and self:heir(other) == o then return true end
  end
  return false
end

-- Transactions ---------------------------------------------------------------------------------------------

local function image(o)
  return { mark = o.mark, v = copy(o.v), to = copy(o.to), list = copy_lists(o.list), known = copy(o.known),
    put = copy_lists(o.put), cut = copy_lists(o.cut) }
end

function Model:begin()
  local images = {}
  for _, o in ipairs(self.objects) do images[o] = image(o) end
  self.saved[#self.saved + 1] = { images = images, rows = self.rows }
end

function Model:commit() table.remove(self.saved) end

-- It is new again, and nobody's: what a flush gave it is taken back.
local function lose(o)
  local kind = schema.kinds[o.kind]
  o.mark, o.v.version = "lost", nil
  if not kind.given then o.v.id = o.made.id end
  for name in pairs(kind.filled or {}) do o.v[name] = o.made[name] end
end

--- What was managed has its values of then; what was made or persisted since is nobody's.
function Model:rollback()
  local saved = table.remove(self.saved)
  for _, o in ipairs(self.objects) do
    local then_ = saved.images[o]
    if then_ and is_managed(then_) then
      for key, value in pairs(then_) do o[key] = value end
    elseif o.mark ~= "gone" then
      lose(o)
    end
  end
  self.rows = saved.rows
end

--- What another connection sees.
function Model:committed()
  return self.saved[1] and self.saved[1].rows or self.rows
end

--- Memory is forgotten and read anew: nothing is pending, no list is known.
function Model:reload()
  for _, o in ipairs(self.objects) do
    local row = self.rows[o]
    if row then
      o.mark, o.v, o.to, o.known, o.put, o.cut = "managed", copy(row.v), copy(row.to), {}, {}, {}
      for name in pairs(row.list) do o.put[name], o.cut[name] = {}, {} end
    else
      o.mark = "gone"
    end
  end
end

return Model
