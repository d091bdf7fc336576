--- The options of a property as source, where they differ from what goes without saying.
local defaults = require("heddle.generate.defaults")
local naming = require("heddle.naming")
local source = require("heddle.generate.source")
local types = require("heddle.generate.types")

local properties = {}

local function add_type(to, property, word)
  if word.own then
    to[#to + 1] = "type = orm.type { column = " .. source.quoted(word.own) .. " }"
    return
  end
  to:add("type", word.type)
  to:add("array_of", word.array_of)
  to:add("length", word.length)
  to:add("precision", word.precision)
  to:add("scale", word.scale ~= 0 and word.scale or nil)
  if property.labels then
    local name = property.labels_name and ", name = " .. source.quoted(property.labels_name) or ""
    to[#to + 1] = "enum = { " .. source.list(property.labels) .. name .. " }"
  end
end

local integers = { smallint = true, integer = true, bigint = true }

-- What Heddle takes for granted of a single integer key, and this one is not.
local function autoincrement_of(entity, property, word, driver)
  local column, key = property.column, entity.table.primary.columns
  if #key ~= 1 or key[1] ~= column.name or not integers[word.type] then return nil end
  if column.autoincrement or column.default then return nil end
  -- SQLite gives a rowid to what is declared so, and to nothing else.
  if driver == "sqlite" and column.type:upper() == "INTEGER" and not (entity.table.options or ""):upper()
      :find("WITHOUT ROWID", 1, true) then
    return "rowid"
  end
  return false
end

local function is_key(entity, column)
  for _, name in ipairs(entity.table.primary.columns) do
    if name == column.name then return true end
  end
  return false
end

local function scalar(entity, property, env)
  local to, column = source.options(), property.column
  local word = types.of(column.type, env.driver)
  if property.labels then word = { type = "enum" } end
  add_type(to, property, word)
  if env.naming.column(property.name) ~= column.name then to:add("column", column.name) end
  if is_key(entity, column) then
    to:add("primary", true)
    to:add("autoincrement", autoincrement_of(entity, property, word, env.driver))
  elseif column.nullable then
    to:add("nullable", true)
  end
  if column.generated then
    to:add_sql("generated", column.generated)
    to:add("virtual", column.virtual)
  elseif not column.autoincrement then
    local given = defaults.of(column.default, word, env.driver)
    to:add("default", given.default)
    to:add_sql("default_sql", given.default_sql)
  end
  to:add("unique", property.unique)
  to:add("index", property.index)
  to:add_sql("check", property.check)
  to:add("comment", column.comment)
  return to
end

local function add_rules(to, fk, env)
  to:add("on_delete", fk.on_delete)
  to:add("on_update", fk.on_update)
  if env.driver == "postgres" and not fk.deferrable then to:add("deferrable", false) end
end

local function names_differ(wanted, columns)
  for i, name in ipairs(columns) do
    if wanted[i] ~= name then return true end
  end
end

local function join_columns(env, head, target)
  local names = {}
  for i, name in ipairs(target.primary.columns) do names[i] = env.naming.join_column(head, name) end
  return names
end

local function add_key_name(to, option, t, fk)
  if fk.name and fk.name ~= naming.constraint(t.name, fk.columns, "foreign") then to:add(option, fk.name) end
end

local function owning(entity, property, env)
  local to, relation = source.options(), property.relation
  local fk = relation.fk
  to:add(property.kind, property.target.name)
  if relation.primary then to:add("primary", true) elseif relation.nullable then to:add("nullable", true) end
  if names_differ(join_columns(env, property.name, relation.target), fk.columns) then
    to:add_names("join_column", fk.columns)
  end
  add_rules(to, fk, env)
  local given = defaults.of(relation.default, {}, env.driver)
  to:add_sql("default_sql", given.default_sql)
  if property.unique ~= true or property.kind ~= "one_to_one" then to:add("unique", property.unique) end
  to:add("index", property.index)
  add_key_name(to, "foreign_key", entity.table, fk)
  to:add("comment", relation.comment)
  return to
end

local function add_join_columns(to, option, side, env, head)
  if names_differ(join_columns(env, head, side.target), side.fk.columns) then to:add_names(option, side.fk.columns) end
end

local function pairs_of(entity, property, env)
  local to, pivot = source.options(), property.pivot
  local first, second, t = pivot.first, pivot.second, pivot.table
  to:add("many_to_many", property.target.name)
  if env.naming.pivot(entity.table.name, property.target.table.name, property.name) ~= t.name then
    to:add("pivot_table", t.name)
  end
  local is_same = first.target == second.target
  add_join_columns(to, "join_column", first, env, entity.name .. (is_same and "_1" or ""))
  add_join_columns(to, "inverse_join_column", second, env, property.target.name .. (is_same and "_2" or ""))
  if first.fk.on_delete ~= "cascade" then to:add("on_delete", first.fk.on_delete or "no action") end
  to:add("on_update", first.fk.on_update)
  if env.driver == "postgres" and not first.fk.deferrable then to:add("deferrable", false) end
  if not pivot.index then
    to:add("index", false)
  elseif pivot.index.name ~= naming.constraint(t.name, second.fk.columns, "index") then
    to:add("index", pivot.index.name)
  end
  add_key_name(to, "foreign_key", t, first.fk)
  add_key_name(to, "inverse_foreign_key", t, second.fk)
  return to
end

local function inverse(property)
  local to = source.options()
  to:add(property.kind, property.target.name)
  to:add("mapped_by", property.inverse.name)
  return to
end

local writers = { scalar = scalar, many_to_many = pairs_of, one_to_one = owning, many_to_one = owning }

---The options of a property, each as source.
---@param entity table of plan.entities
---@param property table one of its
---@param env table { driver, naming }
---@return string[]
function properties.options(entity, property, env)
  if property.inverse then return inverse(property) end
  return writers[property.kind](entity, property, env)
end

return properties
