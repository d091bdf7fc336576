--- A mapping of what a sub-query gives: its items are the properties, so that filters, orders and selections read it as
--- they read an entity. It has no key, no identity and no table.
local custom = require("heddle.custom")
local resolve = require("heddle.resolve")

local derived = {}

-- What a column is to its own table alone.
local traits = { "primary", "json", "at", "index", "version", "foreign_key", "generated", "discriminator", "lazy",
  "hidden", "unique", "autoincrement" }

-- A column of the sub-query as the outer query sees it: any of them may be NULL there.
local function outer_column(map, view, column, name)
  local made, source = {}, custom.source(column)
  for key, value in pairs(column) do made[key] = value end
  made.custom, made.converts = source.custom, source.converts
  made.name, made.property, made.entity, made.view = name, view.name, map.name, view
  made.nullable = true
  for _, trait in ipairs(traits) do made[trait] = nil end
  return made
end

-- A to-one relation leads on from here too.
local function add_relation(map, view, item)
  local fk = resolve.foreign_key(item.source.mapping, item.view)
  view.kind, view.target, view.columns = "many_to_one", item.view.target, view.stored
  map.foreign_keys[#map.foreign_keys + 1] = {
    property = view.name, columns = view.stored, target = fk.target, target_columns = fk.target_columns,
    nullable = true,
  }
end

---The names that the columns of a sub-query have.
---@param item table
---@return string[]
function derived.names(item)
  local names = {}
  for i = 1, #item.columns do names[i] = #item.columns == 1 and item.name or item.name .. "_" .. i end
  return names
end

---@param name string for messages: the alias, or the name of WITH
---@param node table what query/read.lua made of the sub-query
---@return table mapping
function derived.mapping(name, node)
  local map = {
    name = name, derived = true, driver = node.mapping.driver, context = node.mapping.context, meta = { name = name },
    columns = {}, column_of = {}, props = {}, list = {}, key = {}, nodes = {}, plans = {}, foreign_keys = {},
  }
  map.root = map
  for _, item in ipairs(node.items) do
    if item.name == nil then
      return resolve.refuse("validation", node.mapping, nil, "a sub-query", "each of its items needs a name here: "
        .. "select { total = op.raw(...) }")
    elseif item.view and item.view.embedded and not item.column then
      return resolve.refuse("unsupported", node.mapping, item.name, "a sub-query", "an embedded value cannot pass "
        .. "through it: select its members")
    end
    local view = { name = item.name, kind = "scalar", prop = { name = item.name, kind = "scalar" }, stored = {} }
    for i, column_name in ipairs(derived.names(item)) do
      local column = outer_column(map, view, item.columns[i], column_name)
      view.stored[i] = column
      map.columns[#map.columns + 1], map.column_of[column_name] = column, column
    end
    if item.view and item.view.columns and item.view.target then
      add_relation(map, view, item)
    else
      view.column = view.stored[1]
    end
    map.list[#map.list + 1], map.props[item.name] = view, view
  end
  return map
end

return derived
