--- Checks tables of options: entity, property and connection options alike.
---
--- A rule is a function of a value that answers nothing when the value is right, else what was expected
--- ("a boolean") and, where it is no secret, what came instead.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local later = require("heddle.later")
local suggest = later.module("heddle.suggest")

local options = {}

local function of_type(name, expected)
  return function(value)
    if type(value) ~= name then return expected end
  end
end

options.boolean = of_type("boolean", "a boolean")
options.func = of_type("function", "a function")
options.table = of_type("table", "a table")
options.string = of_type("string", "a string")

function options.any() end

---A string that is not empty and that every database takes.
function options.text(value)
  if type(value) ~= "string" or value == "" or value:find("%z") then return "a non-empty string" end
end

---A whole number within bounds, 5432.0 too; `last` may be left out.
function options.integer(first, last)
  local expected = last and ("an integer from %d to %d"):format(first, last)
    or ("an integer, %d or more"):format(first)
  return function(value)
    if type(value) ~= "number" or value ~= math.floor(value) or value < first or value > (last or 2 ^ 53) then
      return expected
    end
  end
end

---A finite number, `least` or more.
function options.number(least)
  return function(value)
    if type(value) ~= "number" or not (value >= least and value < math.huge) then
      return "a number, " .. least .. " or more"
    end
  end
end

---A time in seconds that is one: how long something may take.
function options.duration(value)
  if type(value) ~= "number" or not (value > 0 and value < math.huge) then return "a number of seconds, more than 0" end
end

---One of some words.
function options.one_of(words)
  return function(value)
    for _, word in ipairs(words) do
      if value == word then return nil end
    end
    local expected = "'" .. table.concat(words, "', '") .. "'"
    return (#words > 1 and "one of " or "") .. expected, errors.quote(value) .. suggest.hint(value, words)
  end
end

---What any of two rules takes.
function options.either(rule, other)
  return function(value)
    local expected = rule(value)
    if not expected then return nil end
    local second = other(value)
    return second and (expected .. " or " .. second)
  end
end

---A list without holes whose items `rule` takes.
function options.list_of(rule)
  return function(value)
    if type(value) ~= "table" then return "a list" end
    local count = 0
    for _ in pairs(value) do count = count + 1 end
    if count ~= #value then return "a list" end
    for _, item in ipairs(value) do
      local expected, instead = rule(item)
      if expected then return "a list; each item must be " .. expected, instead or options.describe(item) end
    end
  end
end

---The keys of a table, sorted, so that of two mistakes always the same one is reported.
---@param given table
---@return any[]
function options.sorted_keys(given)
  local keys = {}
  for key in pairs(given) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- What is wrong with the first option, in the order of the names, that is not right.
local function complain(given, rules, fail, names)
  for _, key in ipairs(options.sorted_keys(given)) do
    local rule = rules[key]
    if rule then
      local expected, instead = rule(given[key])
      if expected then
        fail(("option '%s' must be %s; got %s"):format(key, expected, instead or options.describe(given[key])))
      end
    elseif compat.math_type(key) ~= "integer" then
      fail("unknown option " .. errors.quote(key) .. suggest.hint(key, names or rules), true)
    end
  end
end

---Checks the hash part of `given`; positions of the array part are not looked at.
---@param given table
---@param rules table<string, function>
---@param fail fun(message: string, is_unknown: boolean|nil) raises
---@param names? table the names that a misspelt one may have meant, default those of the rules
function options.check(given, rules, fail, names)
  for key, value in pairs(given) do
    local rule = rules[key]
    if rule and rule(value) or not rule and compat.math_type(key) ~= "integer" then
      return complain(given, rules, fail, names)
    end
  end
end

---The options that a call was given, an empty table for none. Raises `validation`, `unknown_property`.
---
---Usage: `opts = options.given(opts, { safe = options.boolean }, "schema:diff", context.name)`
---@param given any
---@param rules table<string, function>
---@param call string
---@param context_name string
---@return table
function options.given(given, rules, call, context_name)
  local fields = { context = context_name }
  if given == nil then return {} end
  if type(given) ~= "table" then
    errors.raise("validation", ("%s takes a table of options, not %s"):format(call, options.describe(given)), fields)
  end
  options.check(given, rules, function(message, is_unknown)
    errors.raise(is_unknown and "unknown_property" or "validation", call .. ": " .. message, fields)
  end)
  return given
end

---What a value is, without the value: it may be a secret.
---@param value any
---@return string
function options.describe(value)
  local kind = type(value)
  if kind == "string" and value == "" then return "an empty string" end
  return kind == "nil" and "missing" or ("a " .. kind)
end

return options
