--- Results as lines: entities as a list of their properties, lists of entities and of rows as tables, the rest plainly.
local core = require("heddle.core")
local inspect = require("heddle.console.inspect")
local instance = require("heddle.instance")
local output = require("heddle.cli.output")
local raw_sql = require("heddle.raw_sql")

local show = {}

-- Rows of a table, and characters of a cell, that a terminal is shown.
local ROWS, WIDTH = 200, 60

local NOT_LOADED = {}

-- Entities -------------------------------------------------------------------------------------------------

local function is_collection(value)
  return type(value) == "userdata" and value ~= core.null and pcall(function() return value:is_initialized() end)
end

-- What a property holds, without loading anything.
local function property_of(e, prop)
  local raw = rawget(e, prop.name)
  if raw ~= nil then return raw end
  local ok, value = pcall(function() return e[prop.name] end)
  if not ok then return NOT_LOADED end
  return value
end

local function collection_text(value)
  if not value:is_initialized() then return "not loaded" end
  return output.count(#value, "item")
end

local function property_text(value, style)
  if value == nil then return style.dim("null") end
  if value == NOT_LOADED then return style.dim("not loaded") end
  if is_collection(value) then return style.dim(collection_text(value)) end
  return inspect.cell(value)
end

-- "name   value" for each pair.
local function pairs_of(list, style)
  local width, lines = 0, {}
  for _, item in ipairs(list) do width = math.max(width, output.width(item[1])) end
  for i, item in ipairs(list) do
    lines[i] = "  " .. style.cyan(item[1]) .. (" "):rep(width - output.width(item[1]) + 2) .. item[2]
  end
  return lines
end

local function entity(e, style)
  local list = {}
  for _, prop in ipairs(getmetatable(e).definition.properties) do
    if not prop.hidden then list[#list + 1] = { prop.name, property_text(property_of(e, prop), style) } end
  end
  local lines = pairs_of(list, style)
  table.insert(lines, 1, style.bold(inspect.value(e)))
  return lines
end

-- Tables ---------------------------------------------------------------------------------------------------

local function cell(value, is_cut)
  local text = value == nil and "" or inspect.cell(value)
  if not is_cut or output.width(text) <= WIDTH then return text end
  -- Characters are not to be cut in two.
  local at, count = 1, 0
  while count < WIDTH - 3 do
    at = text:find("[^\128-\191]", at + 1) or #text + 1
    count = count + 1
  end
  return text:sub(1, at - 1) .. "..."
end

-- Names are the titles; `get(item, name)` gives a value. Columns that no item has anything for are left out.
local function grid(items, names, get, options)
  local rows, columns, used = {}, {}, {}
  local shown = math.min(#items, options.is_terminal and ROWS or #items)
  local numeric = {}
  for i = 1, shown do
    rows[i] = {}
    for j, name in ipairs(names) do
      local value = get(items[i], name)
      used[j] = used[j] or value ~= NOT_LOADED
      if value ~= nil and value ~= NOT_LOADED then
        numeric[j] = numeric[j] ~= false and type(value) == "number"
      end
      rows[i][j] = value ~= NOT_LOADED and cell(value, options.is_terminal) or "-"
    end
  end
  local kept = {}
  for j, name in ipairs(names) do
    if used[j] then
      kept[#kept + 1] = j
      columns[#columns + 1] = { name, align = numeric[j] and "right" or nil }
    end
  end
  for i, row in ipairs(rows) do
    local short = {}
    for at, j in ipairs(kept) do short[at] = row[j] end
    rows[i] = short
  end
  local lines = output.table(rows, columns, options.style)
  local count = output.count(#items, "row")
  lines[#lines + 1] = options.style.dim(shown < #items and ("(%s, the first %d shown)"):format(count, shown)
    or "(" .. count .. ")")
  return lines
end

local function entities(items, options)
  local names, seen = {}, {}
  for _, e in ipairs(items) do
    local definition = getmetatable(e).definition
    for _, prop in ipairs(not seen[definition] and definition.properties or {}) do
      local is_many = prop.kind == "one_to_many" or prop.kind == "many_to_many" or prop.kind == "one_to_one"
        and not prop.owner
      if not prop.hidden and not is_many and not seen[prop.name] then
        names[#names + 1], seen[prop.name] = prop.name, true
      end
    end
    seen[definition] = true
  end
  return grid(items, names, function(e, name)
    local prop = getmetatable(e).definition.by_name[name]
    if not prop then return nil end
    return property_of(e, prop)
  end, options)
end

-- The columns of rows: in the statement's order where it is known, else the key first and the rest by name.
local function names_of(items)
  local names, seen = {}, {}
  for _, row in ipairs(items) do
    for _, name in ipairs(raw_sql.columns(row) or {}) do
      if not seen[name] then names[#names + 1], seen[name] = name, true end
    end
  end
  local rest = {}
  for _, row in ipairs(items) do
    for name in pairs(row) do
      if not seen[name] then rest[#rest + 1], seen[name] = name, true end
    end
  end
  table.sort(rest, function(a, b)
    if (a == "id") ~= (b == "id") then return a == "id" end
    return a < b
  end)
  for _, name in ipairs(rest) do names[#names + 1] = name end
  return names
end

local function is_plain(value)
  if type(value) ~= "table" then return false end
  local meta = getmetatable(value)
  return meta == nil or type(meta) == "table" and not meta.__tostring and not meta.is_heddle
end

local function is_row(value)
  if not is_plain(value) or next(value) == nil then return false end
  for key in pairs(value) do
    if type(key) ~= "string" then return false end
  end
  return true
end

-- A list whose items are all of that kind.
local function is_list_of(value, is_one)
  if not is_plain(value) or #value == 0 then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  if count ~= #value then return false end
  for _, item in ipairs(value) do
    if not is_one(item) then return false end
  end
  return true
end

-- Anything -------------------------------------------------------------------------------------------------

local lines_of

local function record(value, options)
  local list, behind = {}, {}
  for _, key in ipairs(inspect.sorted_keys(value)) do
    local item = value[key]
    if is_list_of(item, instance.meta_of) or is_list_of(item, is_row) then
      behind[#behind + 1] = key
    else
      list[#list + 1] = { key, inspect.cell(item) }
    end
  end
  local lines = pairs_of(list, options.style)
  for _, key in ipairs(behind) do
    lines[#lines + 1] = "  " .. options.style.cyan(key)
    for _, line in ipairs(lines_of(value[key], options)) do lines[#lines + 1] = line end
  end
  return lines
end

function lines_of(value, options)
  if type(value) == "string" then return { (value:gsub("[%z\1-\8\11-\31\127]", "?")) } end
  if is_collection(value) then
    if not value:is_initialized() then return { tostring(value) .. " (not loaded)" } end
    value = value:items()
  end
  if type(value) ~= "table" then return { inspect.value(value) } end
  if instance.meta_of(value) then return entity(value, options.style) end
  if is_list_of(value, instance.meta_of) then return entities(value, options) end
  if is_list_of(value, is_row) then
    return grid(value, names_of(value), function(row, name) return row[name] end, options)
  end
  if is_row(value) then return record(value, options) end
  return { inspect.value(value) }
end

---The lines that show a value.
---@param value any
---@param options { style: table, is_terminal: boolean }
---@return string[]
function show.lines(value, options)
  return lines_of(value, options)
end

return show
