--- The CREATE TABLE of a table after its changes: the text that it has, edited. What does not change stays as it is.
local compose = require("heddle.schema.sqlite.compose")
local parse = require("heddle.schema.sqlite.parse")
local quote = require("heddle.quote")
local render = require("heddle.schema.render")
local tokens = require("heddle.schema.sqlite.tokens")

local edit = {}

local fold = tokens.fold

local kinds = { uniques = "unique", foreign_keys = "foreign", checks = "check" }
local renderers = { uniques = render.unique, foreign_keys = render.foreign_key, checks = render.check }

local function each_item(parsed, visit)
  for _, column in ipairs(parsed.columns) do visit(column.items, column) end
  visit(parsed.constraints)
end

-- Takes out of every list what `is_meant(item, column)` says.
local function remove(parsed, is_meant)
  each_item(parsed, function(items, column)
    for i = #items, 1, -1 do
      if is_meant(items[i], column) then table.remove(items, i) end
    end
  end)
end

local function add(items, kind, text)
  items[#items + 1] = { kind = kind, text = text }
end

local function column_named(parsed, name)
  for i, column in ipairs(parsed.columns) do
    if fold(column.name) == fold(name) then return column, i end
  end
end

-- Columns ------------------------------------------------------------------------------------------------------

local function drop_kind(column, kind)
  for i = #column.items, 1, -1 do
    if column.items[i].kind == kind then table.remove(column.items, i) end
  end
end

local alter = {}

function alter.type(column, now) column.type = now.type end

function alter.nullable(column, now)
  drop_kind(column, "not null")
  drop_kind(column, "null")
  if not now.nullable then add(column.items, "not null", "NOT NULL") end
end

function alter.default(column, now)
  drop_kind(column, "default")
  if now.default then add(column.items, "default", "DEFAULT " .. now.default) end
end

function alter.generated(column, now)
  drop_kind(column, "generated")
  if not now.generated then return end
  drop_kind(column, "default")
  add(column.items, "generated", "GENERATED ALWAYS AS (" .. now.generated .. (now.virtual and ") VIRTUAL"
    or ") STORED"))
end

-- A default and a generated value exclude each other: the generated value has the last word.
local properties = { "type", "nullable", "default", "generated" }

local function alter_column(parsed, change)
  local column = column_named(parsed, change.now.name)
  for _, property in ipairs(properties) do
    if change[property] then alter[property](column, change.now) end
  end
end

local function edit_columns(parsed, entry)
  for _, dropped in ipairs(entry.columns.dropped) do
    local _, at = column_named(parsed, dropped.name)
    table.remove(parsed.columns, at)
  end
  for _, change in ipairs(entry.columns.altered) do alter_column(parsed, change) end
  for _, added in ipairs(entry.columns.added) do
    local text = added.autoincrement and quote.name(added.name) .. " " .. added.type
    parsed.columns[#parsed.columns + 1] = { name = added.name, type = added.type, items = {},
      text = not text and render.column(added, "sqlite") or nil }
  end
end

-- Keys and constraints -----------------------------------------------------------------------------------------

local function set_primary(parsed, now)
  remove(parsed, function(item) return item.kind == "primary" end)
  for _, column in ipairs(now.columns) do
    if column.autoincrement then
      add(column_named(parsed, column.name).items, "primary", "PRIMARY KEY AUTOINCREMENT")
      return
    end
  end
  if now.primary then add(parsed.constraints, "primary", render.primary(now.primary)) end
end

-- What of a constraint says which it is.
local function signature(item, kind, own)
  if kind == "check" then return item.expression end
  local text = fold(table.concat(item.columns or { own }, "\0"))
  return kind == "foreign" and text .. "\1" .. fold(item.table) or text
end

local function drop_item(parsed, kind, dropped)
  local wanted = signature(dropped, kind)
  remove(parsed, function(item, column)
    if item.kind ~= kind then return false end
    if dropped.name and item.name then return fold(dropped.name) == fold(item.name) end
    return signature(item, kind, column and column.name) == wanted
  end)
end

local function rename_item(parsed, kind, pair)
  each_item(parsed, function(items)
    for _, item in ipairs(items) do
      if item.kind == kind and item.name and fold(item.name) == fold(pair.from) then
        local list = tokens.of(item.text)
        item.name, item.text = pair.to, "CONSTRAINT " .. quote.name(pair.to) .. item.text:sub(list[2].last + 1)
      end
    end
  end)
end

local function drop_constraints(parsed, entry)
  for list, kind in pairs(kinds) do
    for _, dropped in ipairs(entry[list].dropped) do drop_item(parsed, kind, dropped) end
    for _, pair in ipairs(entry[list].renamed) do rename_item(parsed, kind, pair) end
  end
end

local function add_constraints(parsed, entry)
  for _, list in ipairs({ "checks", "foreign_keys", "uniques" }) do
    for _, added in ipairs(entry[list].added) do add(parsed.constraints, kinds[list], renderers[list](added)) end
  end
end

local function changes_key(entry)
  if entry.primary then return true end
  for _, change in ipairs(entry.columns.altered) do
    if change.autoincrement then return true end
  end
  return false
end

---The text that makes the table as it shall be.
---@param entry table of `changes.changed`
---@param renames table see compose.rename
---@return string
function edit.table(entry, renames)
  local was = entry.was
  local parsed = assert(parse.table(was.sql or render.create_table(was, "sqlite")))
  parsed.name = was.name
  -- What goes is called by its old names, what comes by the new ones.
  drop_constraints(parsed, entry)
  compose.rename(parsed, renames)
  edit_columns(parsed, entry)
  add_constraints(parsed, entry)
  if changes_key(entry) then set_primary(parsed, entry.now) end
  return compose.table(parsed, entry.now.name)
end

return edit
