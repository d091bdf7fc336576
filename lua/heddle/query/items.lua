--- What a query selects: properties of its sources, expressions, sub-queries.
---
--- An *item* is { name = under which a row has it, columns = as what each of its values is read, and of a property
--- source, view (and column, where a member of an embedded value is meant); of an expression `at`, where its words
--- begin; of a sub-query `node` }.
local derived = require("heddle.query.derived")
local errors = require("heddle.errors")
local family = require("heddle.family")
local fn = require("heddle.query.fn")
local level = require("heddle.query.level")
local op = require("heddle.op")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")

local items = {}

local UNKNOWN = { type = "unknown" }

local function refuse(to, message, name)
  local map = to.level.sources[1].mapping
  return errors.raise("validation", "select of " .. map.name .. ": " .. message, resolve.fields(map, name))
end

-- Properties -----------------------------------------------------------------------------------------------------

local function property(source, path, name)
  level.check_path(source, path, "select")
  local found = resolve.named(source.mapping, path, "select")
  local item = { source = source, name = name }
  if found.at then
    item.view, item.node = source.mapping.props[path:match("^[^.]+")], found
    item.columns, item.column = resolve.node_columns(found), found.column
    item.path = path
  else
    item.view, item.columns = found, found.stored
    item.path = found.name
  end
  if not item.columns or #item.columns == 0 then
    return resolve.refuse("validation", source.mapping, path, "select", "this property has no column of its own: join "
      .. "the relation and select from there")
  elseif item.node and not item.column then
    return resolve.refuse("validation", source.mapping, path, "select", "an embedded value is selected as a whole, or "
      .. "member by member")
  end
  item.name = name or path:match("[^.]+$")
  return item
end

-- What `*` stands for: what a find would read, and of this what no one has to ask for.
local function all_of(source)
  local list = {}
  for _, view in ipairs(source.mapping.list) do
    local lazy = view.column and view.column.lazy or view.prop.lazy
    if view.stored and #view.stored > 0 and not lazy and not resolve.is_hidden(view) then
      list[#list + 1] = { source = source, view = view, columns = view.stored, path = view.name, name = view.name }
    end
  end
  return list
end

local function add_property(to, list, text, name)
  local star = text == "*" and to.level.sources[1] or nil
  local alias = text:match("^([^.]+)%.%*$")
  if alias then star = level.source(to.level, alias) or level.split(to.level, alias .. ".x", "select") end
  if star then
    if name then return refuse(to, "'" .. text .. "' is several items, which have their own names", name) end
    shape.emit(to, "*", star.alias)
    for _, item in ipairs(all_of(star)) do
      item.star = star
      list[#list + 1] = item
    end
    return
  end
  local source, path = level.split(to.level, text, "select")
  local item = property(source, path, name)
  shape.emit(to, "item", source.alias, item.path)
  shape.emit(to, item.name)
  list[#list + 1] = item
end

-- Expressions ----------------------------------------------------------------------------------------------------

-- "count(b.id) AS books" has its name in it.
local function split_name(text)
  local before, name = text:match("^(.-)%s+[aA][sS]%s+\"?([%a_][%w_]*)\"?%s*$")
  return before or text, name
end

---Writes SQL of the program's own into a shape.
function items.read_raw(to, text, values)
  shape.emit(to, text, values.n)
  for i = 1, values.n do shape.push(to, values[i]) end
end

local function add_raw(to, list, raw, name)
  local text, own = raw.value, nil
  if not name then text, own = split_name(text) end
  local item = { name = name or own, columns = { UNKNOWN }, raw = { text, raw.second }, root = to.level.sources[1] }
  shape.emit(to, "raw", item.name or "-")
  item.at = to.n + 1
  items.read_raw(to, text, raw.second)
  list[#list + 1] = item
end

local function add_function(to, list, value, name)
  local item = fn.read(to, value)
  item.name = name
  shape.emit(to, name or "-")
  list[#list + 1] = item
end

local function add_query(to, list, value, name, read_sub)
  shape.emit(to, "sub", name or "-")
  local node = read_sub(to, value)
  local count = #node.columns
  if count ~= 1 then
    return refuse(to, ("a sub-query among the items gives one value a row, and this one gives %d"):format(count), name)
  end
  list[#list + 1] = { name = name, columns = { node.columns[1] }, node = node }
end

-- Lists ----------------------------------------------------------------------------------------------------------

local function check_names(to, list)
  local seen = {}
  for _, item in ipairs(list) do
    for _, name in ipairs(item.name and derived.names(item) or {}) do
      if seen[name] then
        return refuse(to, ("two items are called '%s': give one another name, as in { other = \"%s\" }"):format(name,
          item.source and item.source.alias .. "." .. item.path or name), name)
      end
      seen[name] = true
    end
  end
end

---Reads what a query selects into a shape. Without items it is the whole root.
---@param to heddle.Shape
---@param given table[] { value, name }
---@param read_sub fun(to: heddle.Shape, query: table): table
---@return table[] list
function items.read(to, given, read_sub)
  local list = {}
  if #given == 0 then given = { { "*" } } end
  shape.emit(to, "select", #given)
  for _, each in ipairs(given) do
    local value, name = each[1], each[2]
    if type(value) == "string" then
      add_property(to, list, value, name)
    elseif op.is_raw(value) then
      add_raw(to, list, value, name)
    elseif fn.is(value) then
      add_function(to, list, value, name)
    else
      add_query(to, list, value, name, read_sub)
    end
  end
  check_names(to, list)
  return list
end

---The columns of an entity that a selection of its own properties stands for; nil when it is something else. The key
---and the version always are among them.
---@param root heddle.query.Source
---@param list table[]
---@return table[]|nil columns
---@return boolean partial
function items.columns_of_entity(root, list)
  local map, whole, named = root.mapping, false, {}
  if map.derived then return nil, false end
  for _, item in ipairs(list) do
    if item.source ~= root or item.name ~= item.path then
      if not (item.source == root and item.node and item.name == item.path:match("[^.]+$")) then return nil, false end
    end
    whole = whole or item.star ~= nil
    named[item.view] = true
  end
  local columns = {}
  for _, column in ipairs(map.columns) do
    local wanted = named[column.view]
      or whole and (not column.lazy or not family.has_column(map, column))
    if wanted or column.primary or column.version or column.discriminator then columns[#columns + 1] = column end
  end
  return columns, #columns < #map.columns
end

return items
