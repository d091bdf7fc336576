--- The SET of an UPDATE by filter: data becomes words and parameters, the words become SQL.
---
--- Of an embedded value a plain table sets the members that it names and leaves the others; a value of the embeddable
--- sets all of them.
local condition = require("heddle.condition")
local core = require("heddle.core")
local embedded_data = require("heddle.bulk.embedded")
local errors = require("heddle.errors")
local null = require("heddle.null")
local op = require("heddle.op")
local place = require("heddle.filter.place")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local version_sql = require("heddle.version_sql")

local data = {}

local NOW = { type = "timestamp" }

local emit, push = shape.emit, shape.push

local function data_place(mapping, name)
  local places = mapping.plans.data_places
  if not places then
    places = {}
    mapping.plans.data_places = places
  end
  local at = places[name]
  if not at then
    local node = mapping.nodes[name]
    local view = not node and resolve.view(mapping, name, "data")
    at = node and place.of_node(mapping, node, "data") or place.make(mapping, view, "data")
    at.columns = node and { node.column } or view.stored
    if not at.columns then return place.refuse(at, "the foreign key is the other side's: set it there") end
    if at.columns[1].discriminator then return place.refuse(at, "the discriminator: a row stays of its entity") end
    if at.columns[1].generated then return place.refuse(at, "the database generates this value") end
    places[name] = at
  end
  return at
end

local function read_value(to, at, value)
  if value == null then
    for _, column in ipairs(at.columns) do
      if not column.nullable then return place.refuse(at, "cannot be NULL: it is not nullable") end
    end
    return emit(to, "null", at.name)
  end
  if op.is_operator(value) and value.kind == "raw" then
    if #at.columns > 1 then return place.refuse(at, "op.raw is one value, and this key has several") end
    emit(to, "raw", at.name)
    emit(to, value.value, value.second.n)
    for i = 1, value.second.n do push(to, value.second[i]) end
    return
  end
  emit(to, "value", at.name)
  if at.embedded then return push(to, place.scalar(at, at.columns[1], value)) end
  if at.column then return push(to, place.scalar(at, at.column, value)) end
  for _, part in ipairs(place.key_values(at, value)) do push(to, part) end
end

---Reads data into a shape.
---@param to heddle.Shape
---@param mapping table
---@param given any
function data.read(to, mapping, given)
  if type(given) ~= "table" or getmetatable(given) ~= nil then
    return errors.raise("validation", "data of " .. mapping.name .. ": takes a plain table, not "
      .. (type(given) == "table" and "an instance or an operator" or "a " .. type(given)), resolve.fields(mapping))
  end
  local items = {}
  for name, value in pairs(given) do
    -- What an open entity does not declare has no column.
    if mapping.props[name] or not mapping.meta.open then
      local view = resolve.view(mapping, name, "data")
      if view.embedded then
        embedded_data.expand(items, mapping, view, value)
      else
        items[#items + 1] = { name = name, value = value }
      end
    end
  end
  if #items == 0 then
    return errors.raise("validation", "data of " .. mapping.name .. ": an empty table sets nothing",
      resolve.fields(mapping))
  end
  table.sort(items, function(a, b) return a.name < b.name end)
  emit(to, #items)
  for _, item in ipairs(items) do
    if item.patch then
      embedded_data.read_patch(to, mapping, item)
    else
      read_value(to, data_place(mapping, item.name), item.value)
    end
  end
  local version = mapping.version
  if version and version.type == "timestamp" and given[version.property] == nil then push(to, core.now()) end
end

-- SQL -------------------------------------------------------------------------------------------------------------

local function assignment(made, mapping, code, at)
  local word, name = code[at], code[at + 1]
  local terms = {}
  made:open(code, at + 2)
  if word == "patch" then return embedded_data.patch_sql(made, mapping, name), made.at, name end
  for i, column in ipairs(data_place(mapping, name).columns) do
    local value
    if word == "null" then
      value = "NULL"
    elseif word == "raw" then
      value = condition.raw(made)
    else
      value = made:placeholder(column)
    end
    terms[i] = quote.name(column.name) .. " = " .. value
  end
  return table.concat(terms, ", "), made.at, name
end

---" SET ..." of the words that data.read wrote.
---@param made heddle.Statement
---@param mapping table
---@param code (string|number)[]
---@return string
function data.sql(made, mapping, code)
  local terms, at, has_version = {}, 3, false
  for i = 1, code[2] do
    local name
    terms[i], at, name = assignment(made, mapping, code, at)
    has_version = has_version or mapping.version ~= nil and name == mapping.version.property
  end
  if mapping.version and not has_version then
    terms[#terms + 1] = quote.name(mapping.version.name) .. " = "
      .. version_sql.next(mapping, function() return made:placeholder(NOW) end, made.root.alias)
  end
  made:open(code, at)
  return " SET " .. table.concat(terms, ", ")
end

return data
