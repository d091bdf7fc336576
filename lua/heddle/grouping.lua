--- The options `group_by` and `having` of find: entities come out, so that their key is among what is grouped by. What
--- puts rows of several entities together is the query builder's.
local condition = require("heddle.condition")
local errors = require("heddle.errors")
local filter = require("heddle.filter")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")

local grouping = {}

local function refuse(mapping, option, message)
  return errors.raise("validation", ("option '%s' of a query on %s: %s"):format(option, mapping.name, message),
    resolve.fields(mapping))
end

local function columns_of(mapping, names)
  if type(names) == "string" then names = { names } end
  if type(names) ~= "table" or getmetatable(names) ~= nil then
    return refuse(mapping, "group_by", "takes a list of names, not a " .. type(names))
  end
  local columns, grouped, count = {}, {}, 0
  for _ in pairs(names) do count = count + 1 end
  if count ~= #names then return refuse(mapping, "group_by", "takes a list of names") end
  for _, name in ipairs(names) do
    local found = resolve.columns(mapping, name, "group_by")
    if #found == 0 then
      return resolve.refuse("validation", mapping, name, "group_by", "this property has no column of its own")
    end
    for _, column in ipairs(found) do
      columns[#columns + 1], grouped[column] = column, true
    end
  end
  for _, column in ipairs(mapping.key) do
    if not grouped[column] then
      return refuse(mapping, "group_by", "entities come out of a find, so that its groups go by their key, '"
        .. column.property .. "', at least; em:query groups by anything and gives rows")
    end
  end
  return columns
end

---Reads both options into a shape, behind its filter. Raises `validation`, `unknown_property`.
---@param to heddle.Shape
---@param mapping table
---@param opts table
---@return table|nil grouping for `where`; nil without either
function grouping.read(to, mapping, opts)
  if opts.group_by == nil and opts.having == nil then return nil end
  if opts.group_by == nil then return refuse(mapping, "having", "speaks of groups: give group_by too") end
  local columns = columns_of(mapping, opts.group_by)
  shape.emit(to, "group_by", #columns)
  for _, column in ipairs(columns) do shape.emit(to, column.name) end
  local begins = to.n + 1
  if opts.having ~= nil then
    local named = to.named
    to.named = nil
    filter.read(to, mapping, opts.having)
    to.named = named
  end
  return { columns = columns, at = begins <= to.n and begins or nil }
end

---" WHERE ..." of a statement whose filter and groups stand in a sub-select, so that its order, its locks and its joins
---have nothing to do with them. The filter stands next in the code.
---@param made heddle.Statement
---@param given table as read gave it
---@return string
function grouping.where(made, given)
  local mapping, texts = made.mapping, {}
  local level = made:inner(mapping, "e0")
  local filtered = condition.at(made, level.root)
  for i, column in ipairs(given.columns) do texts[i] = made:column(level.root, column) end
  local tail = " GROUP BY " .. table.concat(texts, ", ")
  if given.at then
    made.at = given.at
    tail = tail .. " HAVING " .. condition.at(made, level.root)
  end
  local key = quote.columns(mapping.key, "e0.")
  return " WHERE " .. (#mapping.key > 1 and "(" .. key .. ")" or key) .. " IN (" .. made:select(level, key, filtered)
    .. tail .. ")"
end

return grouping
