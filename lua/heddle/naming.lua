--- How tables, columns and constraints are called when the program does not say. Every name can be given
--- in the entity; a context's `naming_strategy` replaces any of the functions.
local errors = require("heddle.errors")
local options = require("heddle.options")

local naming = {}

local default = {}

---"AnalyticsLog" -> "analytics_log", "HTTPLog" -> "http_log", "createdAt" -> "created_at"
---@param name string
---@return string
function naming.snake_case(name)
  if not name:find("[^%l%d_]") then return name end
  name = name:gsub("(%u+)(%u%l)", "%1_%2"):gsub("([%l%d])(%u)", "%1_%2")
  return (name:gsub("[^%w_\128-\255]+", "_"):lower())
end

---@param entity string the entity's name
function default.table(entity)
  return naming.snake_case(entity)
end

---@param property string
function default.column(property)
  return naming.snake_case(property)
end

---The column of a foreign key.
---@param property string the relation
---@param target_column string the column it refers to
function default.join_column(property, target_column)
  return naming.snake_case(property) .. "_" .. target_column
end

---The table between the two sides of a many_to_many.
---@param owner_table string
---@param target_table string
---@param property string the owning side's property
function default.pivot(owner_table, target_table, property) -- luacheck: no unused args
  return owner_table .. "_" .. naming.snake_case(property)
end

local rules = {}
for name in pairs(default) do rules[name] = options.func end

---A strategy in which every function stands, those given and the default ones. Raises `config`.
---@param given? table `{ table =, column =, join_column =, pivot = }`
---@param fail? fun(message: string)
---@return table
function naming.strategy(given, fail)
  local strategy = {}
  if given then
    options.check(given, rules, function(message)
      message = "naming_strategy: " .. message
      if fail then fail(message) end
      errors.raise("config", message)
    end)
  end
  for name, fn in pairs(default) do
    local custom = given and given[name]
    strategy[name] = not custom and fn or function(...)
      local result = custom(...)
      if options.text(result) then
        errors.raise("config", ("naming_strategy: %s must give a non-empty string; it gave %s"):format(name,
          options.describe(result)))
      end
      return result
    end
  end
  return strategy
end

-- PostgreSQL cuts longer names off, which makes two of them one.
local LONGEST = 63

---The name of a constraint or index: "<table>_<columns>_<suffix>", shortened so that it stays unique.
---@param table_name string
---@param columns string[] their names
---@param suffix string "unique", "foreign", "index", "check"
---@return string
function naming.constraint(table_name, columns, suffix)
  local name = table_name .. "_" .. table.concat(columns, "_") .. "_" .. suffix
  if #name <= LONGEST then return name end
  local hash = 5381
  for i = 1, #name do hash = (hash * 33 + name:byte(i)) % 4294967296 end
  local tail = ("_%08x_%s"):format(hash, suffix)
  local head = name:sub(1, LONGEST - #tail)
  -- Never end in the middle of a character.
  return head:gsub("[\192-\255][\128-\191]*$", "") .. tail
end

return naming
