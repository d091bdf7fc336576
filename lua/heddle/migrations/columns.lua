--- Tables and columns in a migration, described as properties of an entity are, so that one file serves both databases.
---
--- What a migration says must not depend on entities, which go on changing: the description stands in its file.
local entity = require("heddle.entity")
local errors = require("heddle.errors")
local mapping = require("heddle.mapping")
local model = require("heddle.schema.model")
local naming = require("heddle.naming")
local options = require("heddle.options")
local render = require("heddle.schema.render")
local schema_sql = require("heddle.schema.sql")

local columns = {}

local table_rules = {
  comment = options.string, indexes = options.table, uniques = options.table, checks = options.table,
}
local rules = { ["cascade"] = 1, ["set null"] = 1, ["set default"] = 1, ["restrict"] = 1, ["no action"] = 1 }

local function refuse(tool, what, message)
  errors.raise("validation", what .. ": " .. message, { context = tool.context_name })
end

local function split(name)
  local schema, rest = name:match("^([^.]+)%.([^.]+)$")
  return schema, rest or name
end

-- A property without what only a migration says, which is kept aside.
local function property_of(tool, given, what)
  if type(given) ~= "table" or type(given[1]) ~= "string" then
    refuse(tool, what, ("a column is written { \"name\", type = \"string\" }, not %s"):format(options.describe(given)))
  end
  local made, reference = { column = given[1] }, nil
  for key, value in pairs(given) do
    if key ~= "references" and key ~= "on_delete" and key ~= "on_update" then made[key] = value end
  end
  if not given.type then
    refuse(tool, what, ("column '%s' has no 'type'; a foreign key is { \"%s\", type = \"integer\", references = "
      .. "\"users\" }"):format(given[1], given[1]))
  end
  for _, key in ipairs({ "on_delete", "on_update" }) do
    if given[key] ~= nil and (not given.references or not rules[given[key]]) then
      refuse(tool, what, ("column '%s': '%s' is \"cascade\", \"set null\", \"set default\", \"restrict\" or "
        .. "\"no action\" beside 'references'"):format(given[1], key))
    end
  end
  if given.references ~= nil then
    if options.text(given.references) then
      refuse(tool, what, ("column '%s': 'references' is \"table\", \"schema.table\" or \"table (column)\"")
        :format(given[1]))
    end
    local name, column = given.references:match("^(.-)%s*%(%s*(.-)%s*%)$")
    reference = { column = given[1], to = name or given.references, target = column or "id",
      on_delete = given.on_delete, on_update = given.on_update }
    -- Without one, every delete of what is referred to reads the whole table.
    if made.index == nil and not made.primary and not made.unique then made.index = true end
  end
  return made, reference
end

local function foreign_key(tool, name, reference)
  local schema, to = split(reference.to)
  return { name = naming.constraint(name, { reference.column }, "foreign"), columns = { reference.column },
    schema = schema, table = to, target_columns = { reference.target },
    deferrable = tool.driver == "postgres" and "immediate" or nil,
    on_delete = reference.on_delete ~= "no action" and reference.on_delete or nil,
    on_update = reference.on_update ~= "no action" and reference.on_update or nil }
end

-- The schema model of one table.
local function table_of(tool, name, given, references)
  local list = mapping.build(tool.context_name, tool.driver, { entity.entity(given) }, naming.strategy(), {}).list
  local made = model.from(list, tool.driver)
  local t = made.tables[1]
  for _, reference in ipairs(references) do
    t.foreign_keys[#t.foreign_keys + 1] = foreign_key(tool, name, reference)
  end
  return made
end

---The statements that make a table with its indexes, foreign keys and comments. Raises `validation`, `metadata`.
---@param tool heddle.Migration
---@param name string "table" or "schema.table"
---@param spec table columns, and `comment indexes uniques checks` as an entity has them
---@return string[]
function columns.create_table(tool, name, spec)
  local what = ("m:create_table(%s)"):format(errors.quote(name))
  if type(spec) ~= "table" then refuse(tool, what, "a list of columns is expected, not " .. options.describe(spec)) end
  local schema, own = split(name)
  local given, references = { name = own, table = own, schema = tool.driver == "postgres" and schema or nil }, {}
  local settings = {}
  for key, value in pairs(spec) do
    if type(key) ~= "number" then settings[key] = value end
  end
  options.check(settings, table_rules, function(message) refuse(tool, what, message) end)
  for key, value in pairs(settings) do given[key] = value end
  for i, item in ipairs(spec) do
    given[i], references[#references + 1] = property_of(tool, item, what)
  end
  return schema_sql.create_model(table_of(tool, own, given, references))
end

local single = { "primary", "unique", "index", "check", "references", "autoincrement", "version" }

---One column as it stands behind ADD COLUMN, and its comment's statement. Raises `validation`.
---@param tool heddle.Migration
---@param name string the table
---@param spec table { "name", type =, nullable =, default =, default_sql =, comment = ... }
---@return string definition
---@return string|nil comment
function columns.definition(tool, name, spec)
  local what = ("m:add_column(%s)"):format(errors.quote(name .. "." .. spec[1]))
  for _, key in ipairs(single) do
    if spec[key] ~= nil then
      refuse(tool, what, ("'%s' is no part of it: add the column, then say it with m:create_index or m:sql")
        :format(key))
    end
  end
  local schema, own = split(name)
  local made = table_of(tool, own, { name = own, table = own, schema = tool.driver == "postgres" and schema or nil,
    { "heddle_key", type = "integer", primary = true }, (property_of(tool, spec, what)) }, {})
  local t = made.tables[1]
  local text = render.column(t.columns[2], tool.driver)
  if #t.checks > 0 then text = text .. " " .. render.check(t.checks[1]) end
  return text, tool.driver == "postgres" and t.columns[2].comment and render.column_comment(t, t.columns[2]) or nil
end

return columns
