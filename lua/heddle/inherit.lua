--- What an entity takes over from the one that it extends: properties before its own, hooks, repository methods,
--- constraints. Only definitions are spoken of here; which table the rows of a family stand in, the mapping says.
---
--- An entity that extends another one by name knows what it inherits once a context has found that name.
local later = require("heddle.later")
local class = require("heddle.class")
local constraints = later.module("heddle.constraints")
local discriminator = later.module("heddle.discriminator")
local errors = require("heddle.errors")

local inherit = {}

---Whether a definition has all that it inherits.
---@param made table
---@return boolean
function inherit.is_linked(made)
  return made.extends == nil or made.base ~= nil
end

---Whether an entity is another one or extends it, directly or not.
---@param made table definition
---@param ancestor table definition
---@return boolean
function inherit.is_a(made, ancestor)
  while made do
    if made == ancestor then return true end
    made = made.base
  end
  return false
end

---Whether an entity has a name or extends one that has.
---@param made table definition
---@param name string
---@return boolean
function inherit.is_named(made, name)
  while made do
    if made.name == name then return true end
    made = made.base
  end
  return false
end

-- Properties -----------------------------------------------------------------------------------------------

-- What of a property its column shows. In one table a redefinition cannot change that.
local facts = {
  "kind", "type", "custom", "column", "primary", "unique", "index_option", "default_sql", "length", "precision",
  "scale", "array_of", "autoincrement", "version", "lazy", "hidden", "persist", "check", "generated", "as",
  "mapped_by", "owner", "pivot_table", "on_delete", "on_update_rule", "prefix", "object", "array", "enum_name",
  "virtual", "foreign_key", "inverse_foreign_key", "deferrable",
}

local function same_list(a, b)
  if a == nil or b == nil then return a == b end
  for i = 1, math.max(#a, #b) do
    if a[i] ~= b[i] then return false end
  end
  return true
end

---The option in which two properties of one name differ, though they share a column.
---@param a table
---@param b table
---@return string|nil
function inherit.difference(a, b)
  for _, fact in ipairs(facts) do
    if (a[fact] or false) ~= (b[fact] or false) then return fact end
  end
  if a.kind == "embedded" and a.target ~= b.target then return "embedded" end
  for _, list in ipairs({ "enum", "join_column", "inverse_join_column" }) do
    if not same_list(a[list], b[list]) then return list end
  end
end

local function check_redefined(old, new, base, fail)
  if not base.root then return end
  if old.discriminator then fail(("is the discriminator of '%s'"):format(base.root.name), new.name) end
  local fact = inherit.difference(old, new)
  if fact then
    fail(("is a property of '%s' too, in the same table, with another '%s'; give this one another name"):format(
      base.name, fact), new.name)
  end
  if new.nullable and not old.nullable then
    fail(("cannot be nullable: '%s' has it NOT NULL, in the same table"):format(base.name), new.name)
  end
end

-- What the whole family shares is the root's to say.
local function check_own(prop, base, fail)
  if not base.root then return end
  for _, option in ipairs({ "primary", "version", "autoincrement" }) do
    if prop[option] then
      fail(("option '%s' belongs to '%s', whose table this is"):format(option, base.root.name), prop.name)
    end
  end
end

local function copy_of(prop, position)
  local copy = {}
  for key, value in pairs(prop) do copy[key] = value end
  copy.index, copy.inherited, copy.partners = position, true, nil
  return copy
end

local function take_properties(made, base, fail)
  local own, list = made.by_name, {}
  made.by_name = {}
  for _, prop in ipairs(base.properties) do
    local mine = own[prop.name]
    if mine then check_redefined(prop, mine, base, fail) else mine = copy_of(prop) end
    list[#list + 1] = mine
    made.by_name[prop.name] = mine
  end
  for _, prop in ipairs(made.properties) do
    if not made.by_name[prop.name] then
      check_own(prop, base, fail)
      list[#list + 1] = prop
      made.by_name[prop.name] = prop
    end
    if base.class[prop.name] ~= nil then
      fail(("a method of '%s' has the name of this property; call one of them something else"):format(base.name),
        prop.name)
    end
  end
  made.properties, made.primary = list, {}
  for position, prop in ipairs(list) do
    prop.index = position
    if prop.primary then made.primary[#made.primary + 1] = prop end
  end
end

-- The rest -------------------------------------------------------------------------------------------------

local function both(first, second)
  return function(...)
    first(...)
    second(...)
  end
end

local function take_hooks(made, base)
  local all = {}
  for event, hook in pairs(made.hooks) do all[event] = hook end
  for event, hook in pairs(base.hooks) do all[event] = all[event] and both(hook, all[event]) or hook end
  made.hooks = all
end

local function take_named(own, inherited)
  if not inherited then return own end
  local all = {}
  for name, value in pairs(inherited) do all[name] = value end
  for name, value in pairs(own or {}) do all[name] = value end
  return all
end

local function take_lists(made, base)
  for _, option in ipairs({ "uniques", "indexes", "checks" }) do
    local all = {}
    for _, item in ipairs(base[option]) do all[#all + 1] = item end
    for _, item in ipairs(made[option]) do all[#all + 1] = item end
    made[option] = all
  end
end

local function check_base(made, base, fail)
  if not (base.abstract or base.root) then
    fail(("extends '%s', which has a table of its own: give '%s' abstract = true, or a discriminator_column that "
      .. "tells their rows apart in one table"):format(base.name, base.name))
  end
  if not base.root then return end
  for _, option in ipairs({ "table", "schema", "expression", "discriminator_column" }) do
    if made[option] then fail(("option '%s' belongs to '%s', whose table this is"):format(option, base.root.name)) end
  end
  if made.given.check_rows ~= nil then
    fail(("option 'check_rows' belongs to '%s', whose table this is"):format(base.root.name))
  end
end

-- What the program did not say itself.
local function take_options(made, base)
  for _, option in ipairs({ "readonly", "open", "check_rows" }) do
    if made.given[option] == nil then made[option] = base[option] end
  end
  made.schema = made.schema or base.schema
end

---Gives an entity what it inherits. Raises through `fail`.
---@param made table its definition
---@param base table the definition of the entity that it extends, linked itself
---@param fail fun(message: string, property: string|nil)
function inherit.link(made, base, fail)
  check_base(made, base, fail)
  take_properties(made, base, fail)
  take_hooks(made, base)
  take_lists(made, base)
  take_options(made, base)
  made.filters = take_named(made.filters, base.filters)
  made.repository = take_named(made.repository, base.repository)
  made.base = base
  constraints.verify(made, fail)
  discriminator.settle(made, fail)
  class.link(made, base)
end

---Raises `metadata` for an entity that has no instances of its own, or does not know yet what it inherits.
---@param made table
---@param context_name? string
function inherit.check_concrete(made, context_name)
  if made.abstract then
    errors.raise("metadata", ("Entity '%s' is abstract: make an instance of an entity that extends it"):format(
      made.name), { entity = made.name, context = context_name })
  elseif not inherit.is_linked(made) then
    errors.raise("metadata", ("Entity '%s' extends %s by name, which is found when a context is made: call orm.init "
      .. "first, or give the entity itself"):format(made.name, errors.quote(made.extends)),
      { entity = made.name, context = context_name })
  end
end

return inherit
