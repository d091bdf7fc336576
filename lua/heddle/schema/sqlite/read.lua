--- Parsed statements as tables of the schema model (see schema/model.lua).
local tokens = require("heddle.schema.sqlite.tokens")

local read = {}

local fold = tokens.fold

local function collation_of(name)
  return name ~= "binary" and name or nil
end

-- Columns ------------------------------------------------------------------------------------------------------

local of_column = {}

of_column["not null"] = function(column) column.nullable = false end
of_column["default"] = function(column, item) column.default = item.value end
of_column["collate"] = function(column, item) column.collation = collation_of(item.collation) end
of_column["generated"] = function(column, item)
  column.generated, column.virtual = item.expression, item.virtual or nil
end

local function column_of(parsed)
  local column = { name = parsed.name, type = parsed.type, nullable = true, autoincrement = false }
  for _, item in ipairs(parsed.items) do
    if of_column[item.kind] then of_column[item.kind](column, item) end
  end
  return column
end

-- Constraints --------------------------------------------------------------------------------------------------

-- Names as the table spells them.
local function spelled(made, names)
  local list = {}
  for i, name in ipairs(names) do
    local column = made.column_of[fold(name)]
    list[i] = column and column.name or name
  end
  return list
end

local of_table = {}

of_table["primary"] = function(made, item, columns)
  made.primary = { name = item.name, columns = columns }
  for _, name in ipairs(columns) do
    local column = made.column_of[fold(name)]
    -- SQLite has rows without a key, from before it knew better. They are nothing that anybody means.
    if column then column.nullable, column.autoincrement = false, item.autoincrement or false end
  end
end
of_table["unique"] = function(made, item, columns)
  local key = fold(table.concat(columns, "\0"))
  if made.seen[key] then
    made.seen[key].name = made.seen[key].name or item.name
    return
  end
  made.seen[key] = { name = item.name, columns = columns }
  made.uniques[#made.uniques + 1] = made.seen[key]
end
of_table["check"] = function(made, item)
  made.checks[#made.checks + 1] = { name = item.name, expression = item.expression }
end
of_table["foreign"] = function(made, item, columns)
  local list = made.foreign_keys
  list[#list + 1] = {
    name = item.name, columns = columns, table = item.table, target_columns = item.target_columns,
    on_delete = item.on_delete, on_update = item.on_update, deferrable = item.deferrable,
  }
end
-- Of the foreign key that was read last.
of_table["defer"] = function(made, item)
  local last = made.foreign_keys[#made.foreign_keys]
  if last then last.deferrable = item.deferrable end
end

local function add(made, item, own)
  local write = of_table[item.kind]
  if write then write(made, item, spelled(made, item.columns or { own })) end
end

---A parsed CREATE TABLE as a table of the model, its indexes not among it.
---@param parsed table
---@return table
function read.table(parsed)
  local made = {
    name = parsed.name, columns = {}, uniques = {}, foreign_keys = {}, indexes = {}, checks = {},
    options = parsed.options and parsed.options:upper():gsub("%s+", " ") or nil, column_of = {}, seen = {},
  }
  for i, column in ipairs(parsed.columns) do
    made.columns[i] = column_of(column)
    made.column_of[fold(column.name)] = made.columns[i]
  end
  for _, column in ipairs(parsed.columns) do
    for _, item in ipairs(column.items) do add(made, item, column.name) end
  end
  for _, item in ipairs(parsed.constraints) do add(made, item) end
  made.column_of, made.seen = nil, nil
  return made
end

-- Indexes ------------------------------------------------------------------------------------------------------

---A parsed CREATE INDEX as an index of the model.
---@param parsed table
---@param made table the table
---@return table
function read.index(parsed, made)
  local columns, parts = {}, {}
  for _, column in ipairs(made.columns) do columns[fold(column.name)] = column end
  for i, part in ipairs(parsed.parts) do
    local column = part.column and columns[fold(part.column)]
    local collation = part.collation and collation_of(part.collation)
    if column and (part.collation == nil or collation == column.collation) then
      collation = nil
    elseif column and part.collation == "binary" then
      collation = "binary"
    end
    parts[i] = {
      column = column and column.name, expression = part.expression or not column and fold(part.column) or nil,
      desc = part.desc, collation = collation,
    }
  end
  return { name = parsed.name, unique = parsed.unique, parts = parts, where = parsed.where }
end

-- Views --------------------------------------------------------------------------------------------------------

---The SELECT of a CREATE VIEW: in its one form, and as it is written.
---@param sql string
---@return string|nil form nil when it is not understood
---@return string|nil text
function read.view(sql)
  local list = tokens.of(sql)
  for i, token in ipairs(list or {}) do
    if token.kind == "word" and token.value == "as" then
      local last = #list
      if list[last].value == ";" then last = last - 1 end
      return tokens.text(list, i + 1, last), sql:sub(list[i + 1].first, list[last].last)
    end
  end
end

return read
