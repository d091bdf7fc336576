--- The entity options `uniques`, `indexes` and `checks`: lists over properties, read once for the definition.
local class = require("heddle.class")
local errors = require("heddle.errors")
local options = require("heddle.options")
local suggest = require("heddle.suggest")

local constraints = {}

-- A condition is SQL, or a filter over the entity's own properties.
local condition = options.either(options.text, options.table)

local unique_rules = { name = options.text, where = condition, expression = options.text }
local index_rules = {
  name = options.text, where = condition, unique = options.boolean, method = options.text, expression = options.text,
  include = options.list_of(options.text),
}
local part_rules = {
  expression = options.text, desc = options.boolean, nulls = options.one_of({ "first", "last" }),
}
local check_rules = { name = options.text }

-- "address.city" names a member of an embedded value.
local function has_member(made, path)
  local name, rest = tostring(path):match("^([^.]+)%.(.+)$")
  local prop = made.by_name[name]
  local inner = prop and prop.kind == "embedded" and class.definition_of(prop.target)
  return inner and (inner.by_name[rest] ~= nil or has_member(inner, rest)) or false
end

local function check_property(made, name, what, fail)
  -- An inherited property is known only when the whole family is.
  if made.by_name[name] or made.extends or has_member(made, name) then return end
  fail(("%s: there is no property %s%s"):format(what, errors.quote(name), suggest.hint(name, made.by_name)))
end

local function check_item(item, rules, what, fail)
  if type(item) ~= "table" then
    fail(("%s is %s; write a list of properties, { \"a\", \"b\" }"):format(what, options.describe(item)))
  end
  if #item == 0 and not item.expression then fail(what .. " names no property") end
  if #item > 0 and item.expression then
    fail(what .. ": 'expression' stands alone, or in a part: { \"name\", { expression = \"lower(email)\" } }")
  end
  options.check(item, rules, function(message) fail(what .. ": " .. message) end)
end

local function check_where(made, where, what, fail)
  if type(where) ~= "table" then return end
  for _, name in ipairs(options.sorted_keys(where)) do check_property(made, name, what .. ", 'where'", fail) end
end

-- Checks the list itself and calls `read` for each item.
local function each(list, option, fail, read)
  local result = {}
  for position, item in ipairs(list or {}) do
    result[position] = read(item, ("%s, item %d"):format(option, position))
  end
  for key in pairs(list or {}) do
    if type(key) ~= "number" or not result[key] then
      fail(("option '%s' is a list; %s is no position in it"):format(option, errors.quote(key)))
    end
  end
  return result
end

-- "name", "name asc", "name desc nulls last"
local function read_words(part, what, fail)
  local name, rest = tostring(part):match("^%s*(%S+)%s*(.-)%s*$")
  local direction, nulls
  if name then
    direction, nulls = (" " .. rest:lower() .. " "):match("^%s+(%a*)%s*nulls%s+(%a+)%s+$")
    direction = direction or rest:lower()
  end
  local is_order = direction == "" or direction == "asc" or direction == "desc"
  local is_placed = nulls == nil or nulls == "first" or nulls == "last"
  if type(part) ~= "string" or not name or not is_order or not is_placed then
    fail(("%s: %s is not \"name\", \"name asc\" or \"name desc\", with \"nulls first\" or \"nulls last\" behind it, "
      .. "nor { expression = \"lower(name)\" }"):format(what, errors.quote(part)))
  end
  return { name = name, desc = direction == "desc", nulls = nulls }
end

-- { "name", desc = true }, { expression = "lower(email)", nulls = "first" }
local function read_table(part, what, fail)
  options.check(part, part_rules, function(message) fail(what .. ": " .. message) end)
  if #part > 1 or (part[1] ~= nil) == (part.expression ~= nil) or part[1] ~= nil and options.text(part[1]) then
    fail(what .. ": a part is { \"name\", desc = true } or { expression = \"lower(name)\", desc = true }")
  end
  return { name = part[1], expression = part.expression, desc = part.desc or false, nulls = part.nulls }
end

local function read_parts(made, item, what, fail)
  local parts = {}
  for position, part in ipairs(item) do
    local is_plain = type(part) == "table" and getmetatable(part) == nil
    parts[position] = (is_plain and read_table or read_words)(part, what, fail)
    if parts[position].name then check_property(made, parts[position].name, what, fail) end
  end
  if item.expression then parts[1] = { expression = item.expression, desc = false } end
  return parts
end

local function has_expression(item)
  for _, part in ipairs(item) do
    if type(part) == "table" then return true end
  end
  return item.expression ~= nil
end

---@param made table the definition with its properties
---@param list? table `{ { "a", "b", name =, where = }, { { expression = "lower(c)" } } }`
---@param fail fun(message: string)
---@return table[] uniques { properties, name, where }; with `parts`, as an index has them, where one is an expression
function constraints.uniques(made, list, fail)
  return each(list, "uniques", fail, function(item, what)
    check_item(item, unique_rules, what, fail)
    check_where(made, item.where, what, fail)
    local properties = {}
    if has_expression(item) then
      local parts = read_parts(made, item, what, fail)
      for _, part in ipairs(parts) do properties[#properties + 1] = part.name end
      return { properties = properties, parts = parts, name = item.name, where = item.where }
    end
    for position, name in ipairs(item) do
      check_property(made, name, what, fail)
      properties[position] = name
    end
    return { properties = properties, name = item.name, where = item.where }
  end)
end

---@param made table
---@param list? table `{ { "a", "b desc nulls last", { expression = "lower(c)" }, name =, where =, unique =, method =,
---  include = } }`
---@param fail fun(message: string)
---@return table[] indexes { properties = { { name or expression, desc, nulls } }, name, where, unique, method,
---  include }
function constraints.indexes(made, list, fail)
  return each(list, "indexes", fail, function(item, what)
    check_item(item, index_rules, what, fail)
    local properties = read_parts(made, item, what, fail)
    for _, name in ipairs(item.include or {}) do check_property(made, name, what .. ", 'include'", fail) end
    check_where(made, item.where, what, fail)
    if item.method and not item.method:match("^[%a_][%w_]*$") then
      fail(what .. ": option 'method' must be a name such as \"gin\"")
    end
    return { properties = properties, name = item.name, where = item.where, unique = item.unique or false,
      method = item.method, include = item.include }
  end)
end

local function verify_names(made, names, what, fail)
  for _, name in ipairs(names) do
    if not made.by_name[name] then
      fail(("%s: there is no property %s%s"):format(what, errors.quote(name), suggest.hint(name, made.by_name)))
    end
  end
end

---Checks the names in `uniques` and `indexes` of an entity that inherits, now that all properties are known.
---@param made table
---@param fail fun(message: string)
function constraints.verify(made, fail)
  for _, option in ipairs({ "uniques", "indexes" }) do
    for _, item in ipairs(made[option]) do
      local names = {}
      for _, part in ipairs(item.properties) do names[#names + 1] = type(part) ~= "table" and part or part.name end
      for _, name in ipairs(item.include or {}) do names[#names + 1] = name end
      verify_names(made, names, option, fail)
      if type(item.where) == "table" and getmetatable(item.where) == nil then
        verify_names(made, options.sorted_keys(item.where), option .. ", 'where'", fail)
      end
    end
  end
end

---@param list? table `{ "price > 0", { "low < high", name = "range" } }`
---@param fail fun(message: string)
---@return table[] checks { expression, name }
function constraints.checks(list, fail)
  return each(list, "checks", fail, function(item, what)
    if type(item) == "string" then item = { item } end
    if type(item) ~= "table" or options.text(item[1]) or #item > 1 then
      fail(what .. " must be SQL, \"price > 0\" or { \"price > 0\", name = \"positive\" }")
    end
    options.check(item, check_rules, function(message) fail(what .. ": " .. message) end)
    return { expression = item[1], name = item.name }
  end)
end

return constraints
