--- Options of a property that is a column (or, with `persist = false`, only a value of the instance).
local compat = require("heddle.compat")
local options = require("heddle.options")
local relation = require("heddle.relation")
local types = require("heddle.types")

local property = {}

local name_or_flag = options.either(options.boolean, options.text)

-- { "a", "b" }, or { "a", "b", name = "what its CHECK is called" }
local function labels(value)
  if type(value) ~= "table" or value.name == nil then return options.list_of(options.text)(value) end
  if options.text(value.name) then return "a list whose 'name', that of its CHECK, is a non-empty string" end
  local list = {}
  for key, label in pairs(value) do
    if key ~= "name" then list[key] = label end
  end
  return options.list_of(options.text)(list)
end

property.rules = {
  type = types.rule,
  primary = options.boolean, nullable = options.boolean, unique = name_or_flag, index = name_or_flag,
  default = options.any, default_sql = options.text, column = options.text,
  length = options.integer(1, 10485760), precision = options.integer(1, 1000), scale = options.integer(0, 1000),
  enum = labels, array_of = options.one_of(types.elements),
  autoincrement = options.either(options.boolean, options.one_of({ "rowid" })),
  on_create = options.func, on_update = options.func,
  version = options.boolean, lazy = options.boolean, hidden = options.boolean, persist = options.boolean,
  comment = options.string, check = options.text, generated = options.text,
  virtual = options.boolean,
  as = options.one_of({ "string", "iso8601" }),
}

-- Without a relation's own option a property is taken for a column, and that option may just be misspelt.
local meant = {}
for name in pairs(property.rules) do meant[name] = true end
for _, name in ipairs(relation.kinds) do meant[name] = true end

-- Options of which the second makes no sense beside the first.
local exclusive = {
  { "primary", "nullable" }, { "primary", "lazy" }, { "primary", "generated" }, { "primary", "version" },
  { "version", "nullable" }, { "version", "lazy" }, { "version", "generated" }, { "version", "on_update" },
  { "generated", "default" }, { "generated", "default_sql" }, { "generated", "on_create" },
  { "generated", "on_update" }, { "generated", "autoincrement" },
  { "default", "default_sql" }, { "default", "autoincrement" }, { "default_sql", "autoincrement" },
}

local is_exclusive = {}
for _, pair in ipairs(exclusive) do is_exclusive[pair[1]], is_exclusive[pair[2]] = true, true end

-- What only a column can have.
local column_only = {
  "primary", "unique", "index", "default_sql", "column", "autoincrement", "version", "lazy", "check", "generated",
}

local function is_set(value)
  return value ~= nil and value ~= false
end

local function check_exclusive(given, fail)
  for _, pair in ipairs(exclusive) do
    if is_set(given[pair[1]]) and is_set(given[pair[2]]) then
      fail(("options '%s' and '%s' exclude each other"):format(pair[1], pair[2]))
    end
  end
end

---Makes the property of a definition from `{ "name", type = ... }`.
---@param given table
---@param fail fun(message: string) raises
---@return table prop
function property.build(given, fail)
  options.check(given, property.rules, fail, meant)
  local prop, exclusives = { kind = "scalar" }, 0
  for key, value in pairs(given) do
    if property.rules[key] then prop[key] = value end
    if is_exclusive[key] and value then exclusives = exclusives + 1 end
  end
  prop.index, prop.index_option = nil, given.index
  if prop.enum then prop.enum, prop.enum_name = { compat.unpack(prop.enum) }, prop.enum.name end
  if prop.virtual and not prop.generated then fail("option 'virtual' says how a 'generated' column is kept") end
  -- orm.null: no default, said aloud.
  if type(given.default) == "userdata" and given.default == require("heddle.null") then prop.default = nil end
  if exclusives > 1 then check_exclusive(given, fail) end
  if prop.persist == false then
    for _, option in ipairs(column_only) do
      if is_set(given[option]) then
        fail(("option '%s' needs a column, and 'persist = false' says that there is none"):format(option))
      end
    end
    -- Nothing converts a value that is not stored: it is whatever the program puts there.
    if prop.type == nil and not prop.enum and not prop.array_of then prop.type = "json" end
  end
  local problem = types.settle(prop)
  if problem then fail(problem) end
  return prop
end

return property
