--- The column that tells the entities of one table apart: who has it, and which value stands for whom.
local errors = require("heddle.errors")
local naming = require("heddle.naming")
local options = require("heddle.options")
local types = require("heddle.types")

local discriminator = {}

local texts = { string = true, text = true, enum = true }

-- Heddle alone sets it, once.
local foreign = {
  "primary", "nullable", "unique", "default", "default_sql", "autoincrement", "on_create", "on_update", "version",
  "lazy", "generated", "as",
}

local function check_property(prop, fail)
  if prop.kind ~= "scalar" or prop.custom or prop.persist == false
    or not (texts[prop.type] or types.integers[prop.type]) then
    fail("cannot be the discriminator; that is a string, an enum or an integer", prop.name)
  end
  for _, option in ipairs(foreign) do
    if prop[option] ~= nil and prop[option] ~= false then
      fail(("is the discriminator, which option '%s' has no meaning for"):format(option), prop.name)
    end
  end
end

local function find_property(made)
  local name = made.discriminator_column
  if made.by_name[name] then return made.by_name[name] end
  for _, prop in ipairs(made.properties) do
    if prop.column == name then return prop end
  end
end

-- The root of a family: its own property, or one that is only there to be read.
local function begin_family(made, fail)
  local prop = find_property(made)
  if prop then
    check_property(prop, fail)
  else
    local name = made.discriminator_column
    if not name:match("^[%a_][%w_]*$") then
      fail(("option 'discriminator_column': '%s' cannot be a property's name; declare a property with "
        .. "column = \"%s\""):format(name, name))
    end
    prop = { kind = "scalar", name = name, column = name, type = "string", hidden = true, index = #made.properties + 1 }
    made.properties[prop.index], made.by_name[name] = prop, prop
  end
  prop.discriminator = true
  made.root, made.discriminator = made, prop.name
end

local function length_of(text)
  return select(2, text:gsub("[^\128-\191]", ""))
end

local function is_label(labels, value)
  for _, label in ipairs(labels) do
    if label == value then return true end
  end
  return false
end

local function check_value(made, prop, fail)
  local value = made.discriminator_value
  local is_text = type(value) == "string"
  local problem
  if is_text ~= (texts[prop.type] or false) then
    problem = "the discriminator is " .. (is_text and "an integer" or "a text") .. "; give a value like that"
  elseif prop.enum and not is_label(prop.enum, value) then
    problem = "is no label of the discriminator's enum"
  elseif is_text and prop.length and length_of(value) > prop.length then
    problem = "is longer than the discriminator's column"
  end
  if problem then fail(("option 'discriminator_value' ('%s'): %s"):format(tostring(value), problem)) end
end

---Finds an entity's place in a family that shares a table: `root` (definition), `discriminator` (name of the property)
---and, unless it is abstract, `discriminator_value`. What it inherits is in place. Raises through `fail`.
---@param made table definition
---@param fail fun(message: string, property: string|nil)
function discriminator.settle(made, fail)
  local base = made.base
  if base and base.root then
    made.root, made.discriminator = base.root, base.discriminator
  elseif made.discriminator_column then
    begin_family(made, fail)
  elseif made.discriminator_value then
    fail("option 'discriminator_value' needs a discriminator_column in the entity that it extends")
  end
  if not made.root then return end
  if made.abstract then
    if made.discriminator_value then
      fail("option 'discriminator_value': an abstract entity has no rows of its own")
    end
    return
  end
  made.discriminator_value = made.discriminator_value or naming.snake_case(made.name)
  check_value(made, made.by_name[made.discriminator], fail)
end

---Refuses a value that is not that of an instance's entity: what it is, it stays. Raises `validation`.
---@param made table definition
---@param value any
---@param context_name? string
function discriminator.check(made, value, context_name)
  if value == made.discriminator_value then return end
  errors.raise("validation", ("%s.%s is the discriminator, and '%s' for every %s: an instance stays of its entity")
    :format(made.name, made.discriminator, tostring(made.discriminator_value), made.name),
    { context = context_name, entity = made.name, property = made.discriminator })
end

---Gives a new instance the value that its row will have. Raises `validation` for another one.
---@param e table
---@param made table definition
---@param context_name? string
function discriminator.give(e, made, context_name)
  local name = made.discriminator
  if not name or made.by_name[name].hidden then return end
  local value = rawget(e, name)
  if value == nil then return rawset(e, name, made.discriminator_value) end
  discriminator.check(made, value, context_name)
end

---Checks what a program may have made of it in an instance that is about to be written. Raises `validation`.
---@param e table
---@param context_name? string
function discriminator.check_written(e, context_name)
  local made = getmetatable(e).definition
  local name = made.discriminator
  if not made.by_name[name].hidden then discriminator.check(made, rawget(e, name), context_name) end
end

discriminator.rule = options.either(options.text, options.integer(-2147483648))

return discriminator
