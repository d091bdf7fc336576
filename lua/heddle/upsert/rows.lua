--- From what an upsert is given to rows of database values: before_upsert, defaults, on_create, on_update, conversion.
local core = require("heddle.core")
local hooks = require("heddle.hooks")
local null = require("heddle.null")
local row_data = require("heddle.row_data")
local upsert_options = require("heddle.upsert.options")

local upsert_rows = {}

-- What an instance holds, so that it shows what a hook has changed, inside of tables too.
local function values_of(map, e)
  local own, values = getmetatable(e).own, {}
  for _, view in ipairs(map.list) do
    local value = rawget(e, view.name)
    if value == nil and own then value = own.values[view.name] end
    if type(value) == "table" and (view.embedded or getmetatable(value) == nil) then
      local ok, image = pcall(core.image, value)
      if ok then value = image end
    end
    values[view.name] = value
  end
  return values
end

local function is_column(view)
  return view.stored ~= nil
end

-- What the hook changes is as good as given.
local function before_upsert(em, map, row)
  if not hooks.is_heard(em, map.meta, "before_upsert") then return end
  local former = values_of(map, row.e)
  hooks.upsert(em, map, "before", row.e)
  local present = values_of(map, row.e)
  for _, view in ipairs(map.list) do
    local name = view.name
    if is_column(view) and present[name] ~= former[name] then
      local value = row.e[name]
      row.data[name], row.given[name] = value == nil and null or value, true
      if row.raws and view.column then row.raws[view.column.index] = nil end
    end
  end
end

---What calls on_update for a row: for every one, since nobody knows yet which of them are there.
---@return fun(e: table, row: table)
function upsert_rows.generators(map, em)
  local views = {}
  for _, view in ipairs(map.list) do
    if view.prop.on_update then views[#views + 1] = view end
  end
  return function(e, row)
    for _, view in ipairs(views) do
      if not (row.raws and view.column and row.raws[view.column.index]) then
        e[view.name] = view.prop.on_update(e, em)
        row.updated[view.name] = true
      end
    end
  end
end

---Rows of an upsert. Raises `validation`, `unknown_property`, `not_managed`, before anything is sent.
---@param em table
---@param map table
---@param entity any
---@param list any[] what was given
---@param opts table as options.read gave it
---@return table[] rows { number, target, values, raws, given, updated }
function upsert_rows.read(em, map, entity, list, opts)
  local rows = {}
  for i, data in ipairs(list) do
    local copy, raws = row_data.read(em, map, data, "upsert")
    local row = { data = copy, raws = raws, given = {}, updated = {}, number = i }
    for name in pairs(data) do row.given[name] = true end
    rows[i] = row
  end
  return row_data.convert(em, entity, rows, function(row)
    before_upsert(em, map, row)
    row.target = upsert_options.target(map, opts, row)
  end, upsert_rows.generators(map, em))
end

return upsert_rows
