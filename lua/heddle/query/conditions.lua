--- Conditions of a query: filters whose names may say of which alias they speak, `{ ["b.title"] = "x" }`, in `op.any`
--- and its kin too; `op.some(query)` and `op.none(query)` for EXISTS.
local errors = require("heddle.errors")
local expression = require("heddle.expression")
local filter = require("heddle.filter")
local level = require("heddle.query.level")
local null = require("heddle.null")
local op = require("heddle.op")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")

local conditions = {}

local emit = shape.emit

local function refuse(at, message)
  local map = at.source.mapping
  return errors.raise("validation", at.where .. " of " .. map.name .. ": " .. message, resolve.fields(map))
end

-- What follows in the code speaks of a source.
local function turn_to(to, source)
  emit(to, "at", source.alias, shape.refer(to, source))
end

local read

local function read_several(to, at, operator)
  local list = operator.value
  if operator.kind == "all" and #list == 0 then return refuse(at, "op.all with an empty list holds for every row") end
  emit(to, operator.kind, #list)
  for i = 1, #list do read(to, at, list[i]) end
end

local function read_exists(to, at, operator)
  if operator.kind == "every" then
    return refuse(at, "op.every speaks of the members of a relation; a sub-query has op.some and op.none")
  end
  local index = shape.refer(to, false)
  emit(to, operator.kind == "some" and "exists" or "missing", index)
  to.code.refs[index] = at.read_sub(to, operator.value)
end

-- An item of the selection, in HAVING.
local function read_item(to, item, value)
  emit(to, "selected", item.name, shape.refer(to, item))
  item.again(to)
  filter.property(to, item.mapping, item.name, value)
end

-- "author.name" is { author = { name = ... } }.
local function nested(path, value)
  if type(path) ~= "string" then return path, value end
  local before, last = path:match("^(.+)%.([^.]+)$")
  if not before then return path, value end
  return nested(before, { [last] = value })
end

local function read_named(to, at, name, value)
  local item = at.selected and at.selected[name]
  if item then return read_item(to, item, value) end
  local source, path = at.source, name
  if type(name) == "string" and name:find(".", 1, true) then
    source, path = level.split(to.level, name, at.where)
  end
  turn_to(to, source)
  return filter.property(to, source.mapping, nested(path, value))
end

local function read_table(to, at, cond)
  local names = {}
  for name in pairs(cond) do
    if type(name) ~= "string" then return resolve.view(at.source.mapping, name, at.where) end
    names[#names + 1] = name
  end
  table.sort(names)
  if #names == 0 then
    return refuse(at, "an empty table inside a condition would hold for every row: is a variable in it nil?")
  end
  if #names > 1 then emit(to, "all", #names) end
  for _, name in ipairs(names) do read_named(to, at, name, cond[name]) end
end

local function read_one(to, at, cond)
  if cond == nil or cond == null then return refuse(at, "nil is no condition: is a variable nil?") end
  if op.is_operator(cond) then
    if cond.kind == "all" or cond.kind == "any" then return read_several(to, at, cond) end
    if cond.kind == "negate" then
      return shape.negated(to, read, at, cond.value)
    end
    local quantifies = cond.kind == "some" or cond.kind == "none" or cond.kind == "every"
    if quantifies and at.is_query(cond.value) then return read_exists(to, at, cond) end
  elseif type(cond) == "table" and getmetatable(cond) == nil and cond[1] == nil then
    return read_table(to, at, cond)
  elseif expression.of(cond) then
    return refuse(at, "a sub-query is no condition: compare with it, or say op.some(query)")
  end
  if at.source.mapping.derived and not op.is_raw(cond) then
    return refuse(at, "what a sub-query gives has no key: name what is compared")
  end
  turn_to(to, at.source)
  return filter.entity(to, at.source.mapping, cond)
end

function read(to, at, cond)
  return shape.nested(to, read_one, refuse, at, cond)
end

---Reads a condition.
---@param to heddle.Shape
---@param at { source: heddle.query.Source, where: string, read_sub: function, is_query: function, selected: table? }
---@param cond any
function conditions.read(to, at, cond)
  return read(to, at, cond)
end

---Whether a condition is an empty table, which holds for every row.
---@param cond any
---@return boolean
function conditions.is_empty(cond)
  return type(cond) == "table" and getmetatable(cond) == nil and next(cond) == nil
end

---What the named filters of a source say, if anything.
---@return boolean
function conditions.read_named(to, source)
  local named = to.named
  if source.mapping.derived or not (named and named:condition(source.mapping)) then return false end
  turn_to(to, source)
  return filter.entity(to, source.mapping, nil)
end

return conditions
