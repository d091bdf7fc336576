--- The entity option `filters`: `{ active = { cond = { ... }, default = true },
--- tenant = { cond = function(params, em, op) ... end, params = { "id" } } }`.
local op = require("heddle.op")
local options = require("heddle.options")

local given = {}

---@class heddle.NamedFilter
---@field name string
---@field cond any a filter, or function(params, em, op) that gives one
---@field default boolean whether it is on where nobody says anything
---@field params string[]|nil what a function needs; nil: whatever it is given

local A_FILTER = "a filter or a function that gives one"

local function condition(value)
  if type(value) == "function" or op.is_operator(value) then return nil end
  if type(value) ~= "table" or getmetatable(value) ~= nil then return A_FILTER end
  if next(value) == nil then return A_FILTER, "an empty table, which would hold for every row" end
end

local rules = { cond = condition, default = options.boolean, params = options.list_of(options.text) }

local function read_one(name, filter, fail)
  local function fail_here(message) fail(("filter '%s': %s"):format(name, message)) end
  if type(filter) ~= "table" or getmetatable(filter) ~= nil then
    fail_here("is written { cond = ..., default = true }; got " .. (op.is_operator(filter) and tostring(filter)
      or options.describe(filter)))
  end
  options.check(filter, rules, fail_here)
  if #filter > 0 then fail_here("is written { cond = ..., default = true }; it has values without a name") end
  if filter.cond == nil then fail_here("option 'cond' is missing: the condition that the rows have to meet") end
  if filter.params and type(filter.cond) ~= "function" then
    fail_here("option 'params' needs a condition that is a function, which gets them")
  end
  return { name = name, cond = filter.cond, default = filter.default or false, params = filter.params }
end

---Reads the option. Raises through `fail`.
---@param filters table|nil
---@param fail fun(message: string)
---@return table<string, heddle.NamedFilter>
function given.read(filters, fail)
  local read = {}
  for _, name in ipairs(options.sorted_keys(filters or {})) do
    if options.text(name) then
      fail("option 'filters' holds filters by name: filters = { active = { cond = ... } }")
    end
    read[name] = read_one(name, filters[name], fail)
  end
  return read
end

return given
