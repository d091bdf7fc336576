--- Which rows a partial unique key is about, in a form that the core can apply to a row in memory: comparisons of
--- columns with a value or with NULL, all of which hold for a member. Conditions of other kinds, and those that are
--- SQL, have no such form; the core then takes the key for a whole one as long as that leaves an order.
local later = require("heddle.later")
local filter = later.module("heddle.filter")
local shape = later.module("heddle.shape")

local membership = {}

-- json and arrays have no one form, floats no equality.
local comparable = {
  smallint = true, integer = true, bigint = true, decimal = true, string = true, text = true, boolean = true,
  uuid = true, enum = true, date = true, time = true, timestamp = true,
}

local valued = { eq = true, ne = true }

local function column_of(map, name)
  local view = map.props[name] or map.nodes[name]
  local column = view and (view.column or (view.columns and #view.columns == 1 and view.columns[1]))
  return column and not column.json and not column.generated and comparable[column.type] and column or nil
end

-- Reads the words from `at` on; gives where they end, nil when one of them says something else.
local function read(map, to, at, params, tests)
  local word = to.code[at]
  if word == "all" then
    local next_at = at + 2
    for _ = 1, to.code[at + 1] do
      next_at = read(map, to, next_at, params, tests)
      if not next_at then return nil end
    end
    return next_at
  end
  if not valued[word] and word ~= "null" and word ~= "not_null" then return nil end
  local column = column_of(map, to.code[at + 1])
  if not column then return nil end
  local test = { column = column, word = word }
  if valued[word] then
    params.at = params.at + 1
    test.value = to.params[params.at]
  end
  tests[#tests + 1] = test
  return at + 2
end

---The tests of a condition: { column, word = "eq", "ne", "null" or "not_null", value }; nil when it has no such form.
---@param map table
---@param where string|table|nil
---@return table[]|nil
function membership.tests(map, where)
  if type(where) ~= "table" then return nil end
  local to, tests = shape.new("index"), {}
  -- What cannot be read at all is said where the schema is made.
  if not pcall(filter.read, to, map, where) then return nil end
  return read(map, to, 2, { at = 0 }, tests) and tests or nil
end

-- Where entities share the table, and the key is about rows of some: none of the others' discriminators.
local function add_family(map, of, tests)
  local mine = {}
  for _, value in ipairs(of.values) do mine[value] = true end
  for value in pairs(map.by_value) do
    if not mine[value] then tests[#tests + 1] = { column = map.discriminator, word = "ne", value = value } end
  end
  return tests
end

---Gives each partial unique key its tests, where there are any.
---@param list table[] mappings
function membership.fill(list)
  for _, map in ipairs(list) do
    for _, unique in ipairs(map.uniques) do
      local of, where = unique.index and unique.index.of, unique.given_where
      local tests = membership.tests(map, where) or of and where == nil and {} or nil
      unique.tests = of and tests and add_family(map, of, tests) or tests
    end
  end
end

return membership
