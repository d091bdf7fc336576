--- Reads the table given to `orm.entity` or `orm.embeddable`: checks every option and gives the definition,
--- which knows no context yet. Targets of relations are looked up later, by the mapping.
local class = require("heddle.class")
local later = require("heddle.later")
local constraints = later.module("heddle.constraints")
local discriminator = later.module("heddle.discriminator")
local errors = require("heddle.errors")
local inherit = later.module("heddle.inherit")
local named_filters = later.module("heddle.named_filters.given")
local options = require("heddle.options")
local property = require("heddle.property")
local relation = require("heddle.relation")

local definition = {}

---Hooks that an entity can have, in the order in which they fire.
definition.hooks = {
  "on_init", "on_load", "before_create", "after_create", "before_update", "after_update", "before_delete",
  "after_delete", "before_upsert", "after_upsert",
}

local function extended(value)
  local base = class.definition_of(value)
  if base and not base.embeddable then return nil end
  return options.text(value) and "an entity, or the name of one"
end

local function discriminator_value(value)
  return discriminator.rule(value)
end

local entity_rules = {
  name = options.text, table = options.text, schema = options.text, comment = options.string,
  indexes = options.table, uniques = options.table, checks = options.table,
  hooks = options.table, filters = options.table, repository = options.table,
  extends = extended, abstract = options.boolean, discriminator_column = options.text,
  discriminator_value = discriminator_value,
  readonly = options.boolean, expression = options.text, open = options.boolean, check_rows = options.boolean,
}
local embeddable_rules = { name = options.text, comment = options.string }

local hook_rules = {}
for _, hook in ipairs(definition.hooks) do hook_rules[hook] = options.func end

-- How failures of one definition are worded. Before the name is known, the place alone has to do.
local function reporter(label, name)
  local subject = name and ("%s '%s'"):format(label, name) or label
  return function(message, property_name, fields)
    fields = fields or {}
    fields.entity, fields.property = name, property_name
    local where = property_name and (", property '" .. property_name .. "'") or ""
    errors.raise("metadata", subject .. where .. ": " .. message, fields)
  end
end

-- A name has to be usable in paths ("books.tags") and orders ("name desc").
local function check_property_name(name, position, fail)
  if type(name) ~= "string" then
    fail(("item %d has no name; a property is written { \"name\", type = ... }"):format(position))
  end
  if not name:match("^[%a_\128-\255][%w_\128-\255]*$") then
    fail(("item %d: %s cannot be a property's name; use letters, digits and _"):format(position, errors.quote(name)))
  end
end

local function build_property(item, position, fail)
  if type(item) ~= "table" then
    fail(("item %d is %s; a property is written { \"name\", type = ... }"):format(position, options.describe(item)))
  end
  local name = item[1]
  check_property_name(name, position, fail)
  local function fail_here(message) fail(message, name) end
  for key in pairs(item) do
    if type(key) == "number" and key ~= 1 then
      fail_here(("%s stands without its option's name; write e.g. type = %s"):format(errors.quote(item[key]),
        type(item[key]) == "string" and ('"' .. item[key] .. '"') or "\"text\""))
    end
  end
  local kind = relation.kind_of(item, fail_here)
  local prop
  if kind then prop = relation.build(item, kind, fail_here) else prop = property.build(item, fail_here) end
  prop.name, prop.index = name, position
  return prop
end

-- A later number than the length means that an item before it was nil, most often a misspelt variable.
local function check_holes(given, fail)
  local count = 0
  for key in pairs(given) do
    if type(key) == "number" then count = count + 1 end
  end
  if count ~= #given then fail("the list of properties has a hole; one of its items is nil") end
end

local function build_properties(made, given, fail)
  check_holes(given, fail)
  for position, item in ipairs(given) do
    local prop = build_property(item, position, fail)
    if made.by_name[prop.name] then
      fail(("defined twice, as items %d and %d"):format(made.by_name[prop.name].index, position), prop.name)
    end
    made.properties[position], made.by_name[prop.name] = prop, prop
    if prop.primary then made.primary[#made.primary + 1] = prop end
  end
end

-- Whatever name a repository's method has, it must be a function; two names are the repository's own.
local function check_repository(repository, fail)
  for _, key in ipairs(options.sorted_keys(repository or {})) do
    if key == "em" or key == "entity" then
      fail("option 'repository' has a method '" .. key .. "', which is a field of every repository: name it otherwise")
    end
    if type(key) ~= "string" or type(repository[key]) ~= "function" then
      fail("option 'repository' holds methods; " .. errors.quote(key) .. " is " .. options.describe(repository[key]))
    end
  end
end

-- What can be said only when everything that is inherited is there.
local function check_keys(made, fail)
  local versions
  for _, prop in ipairs(made.properties) do
    if prop.version then
      if versions then fail(("a second version beside '%s'; one is enough"):format(versions), prop.name) end
      versions = prop.name
    end
    if prop.autoincrement and not (prop.primary and #made.primary == 1) then
      fail("option 'autoincrement' works on a single primary key only", prop.name)
    end
  end
  if #made.primary == 0 and not made.expression and (made.root or not made.abstract) then
    fail("no primary key; add primary = true to a property")
  end
end

-- An abstract entity without a family has no table: what is a table's would be said in vain.
local function check_abstract(made, fail)
  if made.root or not made.abstract then return end
  if made.table then fail("option 'table': an abstract entity has none; each that extends it has its own") end
end

local function complete(made, base)
  local fail = reporter("Entity", made.name)
  if base then
    inherit.link(made, base, fail)
  elseif made.discriminator_column or made.discriminator_value then
    discriminator.settle(made, fail)
  end
  check_keys(made, fail)
  check_abstract(made, fail)
end

---Gives a definition what it inherits from the entity that it extends, and checks the whole. Raises `metadata`; then
---the definition is what it was.
---@param made table
---@param base table|nil definition
function definition.complete(made, base)
  local former = {}
  for key, value in pairs(made) do former[key] = value end
  local ok, err = pcall(complete, made, base)
  if ok then return end
  for key in pairs(made) do made[key] = nil end
  for key, value in pairs(former) do made[key] = value end
  error(err, 0)
end

-- What an entity and an embeddable have in common.
local function begin(given, label, rules)
  local name = type(given) == "table" and type(given.name) == "string" and given.name or nil
  local fail = reporter(label, name)
  if type(given) ~= "table" then fail("the definition must be a table; got " .. options.describe(given)) end
  if given.name == nil then fail("option 'name' is missing; write { name = \"User\", ... }") end
  options.check(given, rules, function(message) fail(message) end)
  local where, file, line = errors.where()
  local made = {
    name = name, comment = given.comment, properties = {}, by_name = {}, primary = {},
    source = file and line and (file .. ":" .. line) or where or "?",
  }
  build_properties(made, given, fail)
  return made, fail
end

---The definition of an entity. Raises `metadata`.
---@param given table what the program wrote
---@return table
function definition.entity(given)
  local made, fail = begin(given, "Entity", entity_rules)
  for _, option in ipairs({ "table", "schema", "repository", "extends", "discriminator_column",
      "discriminator_value", "expression" }) do
    made[option] = given[option]
  end
  made.abstract, made.readonly, made.open = given.abstract or false, given.readonly or false, given.open or false
  if given.expression then
    if given.readonly == false then fail("option 'readonly': what an expression gives can only be read") end
    made.readonly = true
  end
  made.check_rows = given.check_rows ~= false
  -- What was said and what was not, for the sake of those that inherit.
  made.given = { readonly = made.readonly or given.readonly, open = given.open, check_rows = given.check_rows }
  made.hooks, made.filters = {}, given.filters and named_filters.read(given.filters, fail) or {}
  for event, hook in pairs(given.hooks or {}) do made.hooks[event] = hook end
  options.check(made.hooks, hook_rules, function(message) fail("hooks: " .. message) end)
  check_repository(given.repository, fail)
  made.uniques = given.uniques and constraints.uniques(made, given.uniques, fail) or {}
  made.indexes = given.indexes and constraints.indexes(made, given.indexes, fail) or {}
  made.checks = given.checks and constraints.checks(given.checks, fail) or {}
  local base = class.definition_of(made.extends)
  if made.extends == nil or base and inherit.is_linked(base) then definition.complete(made, base) end
  return made
end

---The definition of an embeddable. Raises `metadata`.
---@param given table
---@return table
function definition.embeddable(given)
  local made, fail = begin(given, "Embeddable", embeddable_rules)
  made.embeddable = true
  for _, prop in ipairs(made.properties) do
    if prop.kind ~= "scalar" and prop.kind ~= "embedded" then
      fail("an embeddable holds values, not relations", prop.name)
    end
    for _, option in ipairs({ "primary", "version", "autoincrement" }) do
      if prop[option] then fail(("option '%s' belongs to an entity"):format(option), prop.name) end
    end
    for _, option in ipairs({ "lazy", "hidden" }) do
      if prop[option] then
        fail(("option '%s' belongs to the property that embeds the value, which is read and shown as a whole")
          :format(option), prop.name)
      end
    end
  end
  return made
end

return definition
