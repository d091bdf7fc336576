--- The options of upsert: which unique key tells that a row is there already, and what becomes of that row.
local embedded = require("heddle.embedded")
local errors = require("heddle.errors")
local op = require("heddle.op")
local options = require("heddle.options")
local resolve = require("heddle.resolve")
local null = require("heddle.null")

local upsert_options = {}

-- Names, and beside them expressions by name: { "title", visits = op.raw("e0.visits + 1") }.
local function merge_list(value)
  if type(value) ~= "table" or getmetatable(value) ~= nil then return "a list of names" end
  for key, item in pairs(value) do
    local is_raw = type(key) == "string" and op.is_operator(item) and item.kind == "raw"
    if not (is_raw or type(key) == "number" and type(item) == "string") then
      return "a list of names, and orm.raw expressions by name"
    end
  end
end

local names = options.list_of(options.text)

local rules = {
  on_conflict_fields = names, on_conflict_action = options.one_of({ "merge", "ignore" }),
  on_conflict_merge_fields = merge_list, on_conflict_exclude_fields = names, on_conflict_where = options.any,
  timeout = options.duration,
}

-- The columns of a property, or of a member of an embedded one.
local function columns_of(map, name, option)
  local columns = resolve.columns(map, name, option)
  if #columns == 0 then
    resolve.refuse("validation", map, name, option, "this property has no column of its own")
  end
  return columns
end

local function add_columns(list, map, name, option)
  for _, column in ipairs(columns_of(map, name, option)) do list[#list + 1] = column end
end

local function is_same_set(a, b)
  if #a ~= #b then return false end
  local set = {}
  for _, column in ipairs(a) do set[column] = true end
  for _, column in ipairs(b) do
    if not set[column] then return false end
  end
  return true
end

local function describe_keys(map)
  local texts = {}
  local function add(columns)
    local parts = {}
    for i, column in ipairs(columns) do parts[i] = column.property end
    texts[#texts + 1] = "{ " .. table.concat(parts, ", ") .. " }"
  end
  add(map.key)
  for _, unique in ipairs(map.uniques) do
    if not unique.where then add(unique.columns) end
  end
  return table.concat(texts, ", ")
end

local function named_target(map, fields)
  local columns = {}
  for _, name in ipairs(fields) do add_columns(columns, map, name, "on_conflict_fields") end
  if is_same_set(columns, map.key) then return map.key end
  local partial = false
  for _, unique in ipairs(map.uniques) do
    local is_it = is_same_set(columns, unique.columns)
    if is_it and not unique.where then return unique.columns end
    partial = partial or is_it
  end
  if partial then
    resolve.refuse("unsupported", map, nil, "on_conflict_fields", "this key is unique under a condition only, which an "
      .. "upsert cannot go by; there are " .. describe_keys(map))
  end
  resolve.refuse("validation", map, nil, "on_conflict_fields", "these are no unique key of " .. map.name
    .. "; there are " .. describe_keys(map))
end

-- Whether the data of a row has a value for each of the columns.
local function is_given(columns, row)
  for _, column in ipairs(columns) do
    local value = row.data[column.view.name]
    if column.at then value = embedded.part(value, column) end
    if value == nil then value = row.links and row.links[column.property] end
    if value == nil or value == null then return false end
  end
  return true
end

---The unique key by which a row of data is found: the one that was named, or the primary key, or the first other one
---that data has in full. Raises `validation`.
---@param map table
---@param opts table as read gave it
---@param row table { data, links }, as row_data makes it
---@return table[] columns
function upsert_options.target(map, opts, row)
  if opts.target then return opts.target end
  if is_given(map.key, row) then return map.key end
  for _, unique in ipairs(map.uniques) do
    if not unique.where and is_given(unique.columns, row) then return unique.columns end
  end
  return resolve.refuse("validation", map, nil, "upsert", "data has no unique key in full, by which a row could be "
    .. "found; there are " .. describe_keys(map))
end

local function set_of(map, list, option)
  if not list then return nil end
  local set = {}
  for _, name in ipairs(list) do
    for _, column in ipairs(columns_of(map, name, option)) do set[column] = true end
  end
  return set
end

local function expressions_of(map, list)
  local found
  for _, name in ipairs(options.sorted_keys(list or {})) do
    if type(name) == "string" then
      local columns = columns_of(map, name, "on_conflict_merge_fields")
      if #columns > 1 then
        resolve.refuse("validation", map, name, "on_conflict_merge_fields", "orm.raw is one value, and this property "
          .. "has several columns")
      end
      found = found or {}
      found[#found + 1] = { column = columns[1], raw = list[name] }
    end
  end
  return found or {}
end

---Checks the options of an upsert. Raises `validation`, `unknown_property`, `unsupported`.
---@param map table
---@param opts any
---@return table { ignore, target, only, without, raws, where, sent = options of each statement }
function upsert_options.read(map, opts)
  if opts ~= nil and (type(opts) ~= "table" or getmetatable(opts) ~= nil) then
    resolve.refuse("validation", map, nil, "upsert", "its options are a table, not " .. options.describe(opts))
  end
  opts = opts or {}
  options.check(opts, rules, function(message, is_unknown)
    errors.raise(is_unknown and "unknown_property" or "validation", "upsert of " .. map.name .. ": " .. message,
      resolve.fields(map))
  end)
  return {
    ignore = opts.on_conflict_action == "ignore",
    target = opts.on_conflict_fields and named_target(map, opts.on_conflict_fields),
    only = set_of(map, opts.on_conflict_merge_fields, "on_conflict_merge_fields"),
    without = set_of(map, opts.on_conflict_exclude_fields, "on_conflict_exclude_fields") or {},
    raws = expressions_of(map, opts.on_conflict_merge_fields),
    where = opts.on_conflict_where,
    sent = { connection = "write", timeout = opts.timeout },
  }
end

return upsert_options
