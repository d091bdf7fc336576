--- Which rows of an upsert go into one statement: those of one unique key, one set of columns and of expressions, and
--- no two of them with the same key values, because no statement writes a row twice. A list is worked off as if each of
--- its items were upserted after the other.
local compat = require("heddle.compat")
local core = require("heddle.core")
local filter = require("heddle.filter")
local null = require("heddle.null")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")

local groups = {}

-- Key values as one string; two of them are alike when the database would say so.
function groups.key_text(values)
  local parts = {}
  for i = 1, #values do
    local value = values[i]
    if compat.math_type(value) == "float" and value % 1 == 0 then value = ("%.0f"):format(value) end
    value = tostring(value)
    parts[i] = #value .. ":" .. value
  end
  return table.concat(parts)
end

local function target_text(map, target, row)
  local values = {}
  for i, column in ipairs(target) do
    local value = row.values[column.index]
    if row.raws and row.raws[column.index] or value == nil or value == null then
      resolve.refuse("validation", map, column.property, "upsert", "a row is found by this property, and it has no "
        .. "value" .. (row.raws and row.raws[column.index] and ", but an expression" or ""))
    end
    values[i] = value
  end
  return groups.key_text(values)
end

-- What a row that is there takes over: what was given, or named, and what on_update says.
local function set_columns(map, opts, row, target)
  local skipped, set, by_raw = {}, {}, {}
  for _, column in ipairs(target) do skipped[column] = true end
  for _, item in ipairs(opts.raws) do by_raw[item.column] = true end
  for _, column in ipairs(map.columns) do
    local view = column.view
    local wanted = opts.only and opts.only[column] or not opts.only and row.given[view.name]
    wanted = (wanted or row.updated[view.name]) and not opts.without[column]
    local fixed = column.primary or column.version or column.generated or column.discriminator or skipped[column]
      or by_raw[column]
    if wanted and not fixed then set[#set + 1] = column end
  end
  return set
end

-- The words that tell groups apart are the words that tell their texts apart.
local function words_of(group)
  local words = {}
  local function add(word) words[#words + 1] = word end
  for _, column in ipairs(group.columns) do
    local raw = group.raws[column.index]
    add(column.index)
    if raw then add(raw[1] .. "\2" .. raw[2]) end
  end
  add(group.ignores and "ignore" or "merge")
  for _, column in ipairs(group.target or {}) do add(column.index) end
  add("set")
  for _, column in ipairs(group.set) do add(column.index) end
  for _, item in ipairs(group.opts and group.opts.raws or {}) do
    add(item.column.index)
    add(item.raw.value .. "\2" .. item.raw.second.n)
  end
  add("where")
  for i = 2, group.where and group.where.n or 1 do add(group.where.code[i]) end
  return words
end

---The group of one row.
---@param target table[]|nil columns of a unique key; nil for a plain INSERT
---@param opts table|nil
function groups.of(map, row, target, opts)
  local group = { mapping = map, columns = {}, raws = {}, target = target, opts = opts, set = {}, rows = {} }
  for _, column in ipairs(map.columns) do
    local raw = row.raws and row.raws[column.index]
    if raw then group.raws[column.index] = { raw.value, raw.second.n } end
    if raw or row.values[column.index] ~= nil then
      group.columns[#group.columns + 1] = column
      group.writes_key = group.writes_key or column == map.auto_key
    end
  end
  if target then
    group.set = set_columns(map, opts, row, target)
    group.ignores = opts.ignore or #group.set == 0 and #opts.raws == 0
    group.where = opts.filter
  else
    group.ignores = opts and opts.ignore
  end
  group.words = words_of(group)
  return group
end

---The condition under which a row that is there is merged.
---@param map table
---@param where any
---@return heddle.Shape|nil
function groups.condition(map, where)
  if where == nil then return nil end
  local to = shape.new("where")
  filter.read(to, map, where)
  return to
end

---Groups in the order in which they have to run.
---@param map table
---@param rows table[] { target, values, raws, given, updated, data }
---@param opts table
---@return table[]
function groups.make(map, rows, opts)
  local seen, found, list = {}, {}, {}
  for _, row in ipairs(rows) do
    local target, wave = row.target, 1
    if target then
      local key = target_text(map, target, row)
      seen[target] = seen[target] or {}
      wave = (seen[target][key] or 0) + 1
      seen[target][key] = wave
    end
    local group = groups.of(map, row, target, opts)
    local name = wave .. "\1" .. table.concat(group.words, "\1")
    if not found[name] then
      found[name], group.wave, group.number, group.now = group, wave, #list, core.now()
      list[#list + 1] = group
    end
    found[name].rows[#found[name].rows + 1] = row
  end
  table.sort(list, function(a, b)
    if a.wave ~= b.wave then return a.wave < b.wave end
    return a.number < b.number
  end)
  return list
end

return groups
