--- Options of a property that is a relation, or an embedded value.
local class = require("heddle.class")
local errors = require("heddle.errors")
local options = require("heddle.options")

local relation = {}

relation.kinds = { "many_to_one", "one_to_many", "one_to_one", "many_to_many", "embedded" }

local function target(value)
  local definition = class.definition_of(value)
  if definition and not definition.embeddable then return nil end
  return options.text(value) and "the name of an entity, or an entity"
end

local function embeddable(value)
  local definition = class.definition_of(value)
  if not (definition and definition.embeddable) then return "an orm.embeddable" end
end

local name_or_flag = options.either(options.boolean, options.text)
local columns = options.either(options.text, options.list_of(options.text))
local action = options.one_of({ "cascade", "set null", "set default", "restrict", "no action" })
local order = options.either(options.text, options.either(options.list_of(options.either(options.text,
  options.table)), options.table))

-- Options of every relation, and of its kinds. An option that another kind takes is told apart from one
-- that nothing takes.
local common = {
  nullable = options.boolean, eager = options.boolean, hidden = options.boolean, comment = options.string,
  cascade = options.list_of(options.one_of({ "persist", "remove", "all" })),
}
local owning = {
  inversed_by = options.text, join_column = columns, on_delete = action, on_update = action,
  primary = options.boolean, unique = name_or_flag, index = name_or_flag, deferrable = options.boolean,
  foreign_key = options.text, default_sql = options.text,
}
local pivot = {
  inversed_by = options.text, join_column = columns, inverse_join_column = columns, pivot_table = options.text,
  pivot_entity = target, fixed_order = options.boolean, on_delete = action, on_update = action,
  deferrable = options.boolean, index = name_or_flag, foreign_key = options.text, inverse_foreign_key = options.text,
}
local inverse = { mapped_by = options.text }
local removing = { orphan_removal = options.boolean }
local sides = { owner = options.boolean }
local many = { order_by = order }

local function union(...)
  local rules = {}
  for _, part in ipairs({ ... }) do
    for key, rule in pairs(part) do rules[key] = rule end
  end
  return rules
end

local rules = {
  many_to_one = union(common, owning, { many_to_one = target }),
  one_to_many = union(common, inverse, removing, many, { one_to_many = target }),
  one_to_one = union(common, owning, inverse, sides, removing, { one_to_one = target }),
  many_to_many = union(common, pivot, inverse, sides, many, { many_to_many = target }),
  embedded = {
    embedded = embeddable, prefix = options.either(options.string, options.boolean), object = options.boolean,
    array = options.boolean, nullable = options.boolean, hidden = options.boolean, lazy = options.boolean,
    comment = options.string, column = options.text,
  },
}

---Which kind of relation `{ "name", ... }` describes; nil when it is none.
---@param given table
---@param fail fun(message: string) raises
---@return string|nil kind
function relation.kind_of(given, fail)
  local found
  for _, kind in ipairs(relation.kinds) do
    if given[kind] ~= nil then
      if found then fail(("both %s and %s are given; a relation is one of them"):format(found, kind)) end
      found = kind
    end
  end
  return found
end

local function check_known(given, kind, fail)
  for _, key in ipairs(options.sorted_keys(given)) do
    if type(key) == "string" and not rules[kind][key] then
      for _, other in ipairs(relation.kinds) do
        if rules[other][key] then fail(("option '%s' has no meaning for %s"):format(key, kind)) end
      end
      if key == "type" then fail("a relation has no 'type'; its columns have those of the target's key") end
    end
  end
  options.check(given, rules[kind], fail)
end

-- Expects the side that has no columns to leave to the other one what is the owner's to say.
local function check_inverse(prop, given, fail)
  if given.owner then fail("options 'owner' and 'mapped_by' exclude each other") end
  for _, option in ipairs({ "inversed_by", "join_column", "inverse_join_column", "pivot_table", "pivot_entity",
      "fixed_order", "on_delete", "on_update", "primary", "unique", "index", "deferrable", "foreign_key",
      "inverse_foreign_key", "default_sql" }) do
    if given[option] ~= nil and given[option] ~= false then
      fail(("option '%s' belongs to the owning side, property '%s' of the target"):format(option, prop.mapped_by))
    end
  end
end

local function check_owning(prop, fail)
  if prop.primary and prop.nullable then fail("options 'primary' and 'nullable' exclude each other") end
  if prop.kind ~= "many_to_many" and not prop.nullable
      and (prop.on_delete == "set null" or prop.on_update_rule == "set null") then
    fail("'set null' needs 'nullable = true'")
  end
  if prop.pivot_entity and prop.pivot_table then fail("options 'pivot_entity' and 'pivot_table' exclude each other") end
  if prop.fixed_order and prop.order_by then fail("options 'fixed_order' and 'order_by' exclude each other") end
  if prop.primary and prop.orphan_removal then fail("options 'primary' and 'orphan_removal' exclude each other") end
end

local function cascade_set(list)
  if not list then return { persist = true } end
  local set = {}
  for _, what in ipairs(list) do
    if what == "all" then set.persist, set.remove = true, true else set[what] = true end
  end
  return set
end

local function as_list(value)
  if value == nil or (type(value) == "table" and (#value > 0 or next(value) == nil)) then return value end
  return { value }
end

---Makes the property of a definition from `{ "name", many_to_one = "Team", ... }`.
---@param given table
---@param kind string as relation.kind_of says
---@param fail fun(message: string) raises
---@return table prop
function relation.build(given, kind, fail)
  check_known(given, kind, fail)
  local prop = { kind = kind }
  for key in pairs(rules[kind]) do prop[key] = given[key] end
  prop[kind], prop.target = nil, given[kind]
  if kind == "embedded" then
    if prop.array then
      if prop.object == false then fail("'array = true' is stored as one json value: leave out 'object'") end
      prop.object = true
    end
    if prop.object and prop.prefix ~= nil then
      fail(("options '%s' and 'prefix' exclude each other"):format(prop.array and "array" or "object"))
    end
    if prop.column and not prop.object then fail("option 'column' needs 'object = true'; 'prefix' names the others") end
    return prop
  end
  prop.index, prop.index_option = nil, given.index
  prop.on_update, prop.on_update_rule = nil, given.on_update
  prop.cascade = cascade_set(given.cascade)
  prop.join_column, prop.inverse_join_column = as_list(given.join_column), as_list(given.inverse_join_column)
  prop.order_by = as_list(given.order_by)
  if kind == "one_to_many" and not prop.mapped_by then
    fail(("option 'mapped_by' is missing; name the many_to_one of %s that refers back"):format(
      errors.quote(relation.target_name(prop))))
  end
  if given.owner == false and not prop.mapped_by then
    fail("'owner = false' needs 'mapped_by', the property of the side that owns the relation")
  end
  prop.owner = prop.mapped_by == nil
  if prop.owner then check_owning(prop, fail) else check_inverse(prop, given, fail) end
  return prop
end

---@param prop table
---@return string
function relation.target_name(prop)
  local definition = class.definition_of(prop.target)
  return definition and definition.name or prop.target
end

return relation
