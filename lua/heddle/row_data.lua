--- Data of rows that are written beside the unit of work: through an identity map of their own they get what a flush
--- gives a new entity (defaults, on_create, conversions, U4), and become database values by column.
local array = require("heddle.array")
local core = require("heddle.core")
local errors = require("heddle.errors")
local gather = require("heddle.flush.gather")
local instance = require("heddle.instance")
local null = require("heddle.null")
local op = require("heddle.op")
local relate = require("heddle.relate")
local resolve = require("heddle.resolve")

local row_data = {}

local function columns_of(view)
  return view.stored or {}
end

-- An instance stands for its key: the row is written through another identity map than the one it belongs to.
local function key_of(em, map, name, value)
  local shelf, slot = em:locate(value, map.name .. "." .. name)
  local key = shelf and shelf:program_key(slot) or {}
  if #key == 0 then
    errors.raise("not_managed", ("%s.%s: this %s has no row yet; flush it first"):format(map.name, name,
      getmetatable(value).definition.name), { context = em.context_name, entity = map.name, property = name })
  end
  return #key == 1 and key[1] or key
end

local function check_raw(map, view, name)
  local columns = columns_of(view)
  if #columns ~= 1 then
    resolve.refuse("validation", map, name, "data", "orm.raw is one value, and this property has "
      .. (#columns == 0 and "no column" or "several columns"))
  end
  if columns[1].generated then resolve.refuse("validation", map, name, "data", "the database generates this value") end
  return columns[1]
end

---Raises `validation` for what is no row's data.
---@param em table the entity manager whose call it is
---@param map table
---@param data any
---@param what string the call, for messages
function row_data.check(em, map, data, what)
  if type(data) == "table" and getmetatable(data) == nil then return end
  errors.raise("validation", ("%s of %s takes plain tables of its properties, not %s"):format(what, map.name,
    relate.describe(data)), { context = em.context_name, entity = map.name })
end

---A copy of one row's data with keys in place of instances, and what in it is an expression.
---@param em table
---@param map table
---@param data any
---@param what string
---@return table copy
---@return table|nil raws { [column index] = orm.raw }
function row_data.read(em, map, data, what)
  row_data.check(em, map, data, what)
  local copy, raws = {}, nil
  for name, value in pairs(data) do
    local view = map.props[name]
    local kind = view and instance.kind_of(view.prop)
    if view and op.is_operator(value) and value.kind == "raw" then
      raws = raws or {}
      raws[check_raw(map, view, name).index] = value
      value = nil
    elseif kind == "one" and instance.meta_of(value) then
      value = key_of(em, map, name, value)
    elseif kind == "many" then
      resolve.refuse("unsupported", map, name, what, "it writes one row, and a collection is none of it: use "
        .. "em:persist")
    end
    copy[name] = value
  end
  return copy, raws
end

local function is_list(list)
  if type(list) ~= "table" or getmetatable(list) ~= nil and not array.is_array(list) then return false end
  local count = 0
  for _ in next, list do count = count + 1 end
  for i = 1, count do
    if list[i] == nil then return false end
  end
  return true
end

---Raises `validation` for what is no list: names and what stands behind a hole would be left out in silence.
---@param em table
---@param map table
---@param list any
---@param what string the call, for messages
function row_data.check_list(em, map, list, what)
  if is_list(list) then return end
  errors.raise("validation", ("%s of %s takes a list of tables, without holes and names, not %s"):format(what, map.name,
    relate.describe(list)), { context = em.context_name, entity = map.name })
end

-- Relations of rows to rows of their own entity.
local function own_relations(map)
  local views = {}
  for _, view in ipairs(map.list) do
    local is_own = view.columns and view.target and view.target.root == map.root
    if is_own and not view.prop.primary then views[#views + 1] = view end
  end
  return views
end

local function take_links(views, data)
  local links
  for _, view in ipairs(views) do
    if data[view.name] ~= nil then
      links = links or {}
      links[view.name], data[view.name] = data[view.name], nil
    end
  end
  return links
end

---Makes the instances of rows, as `row.e`. What leads to a row of the same entity waits until all are there: it may
---stand further down in the list.
---@param aside table an entity manager for these rows alone
---@param rows table[] each with `data`
---@param keep fun(row: table) called for each instance when it has been made
function row_data.create(aside, entity, rows, keep)
  local views = own_relations(aside:mapping(entity))
  for _, row in ipairs(rows) do
    row.links = take_links(views, row.data)
    row.e = aside:create(entity, row.data)
    keep(row)
  end
  for _, row in ipairs(rows) do
    if row.links then aside:assign(row.e, row.links) end
  end
end

-- on_create, where neither a value nor an expression was given.
local function fill(em, map, row)
  for _, view in ipairs(map.list) do
    local on_create, column = view.prop.on_create, view.column
    if on_create and row.e[view.name] == nil and not (column and row.raws and row.raws[column.index]) then
      row.e[view.name] = on_create(row.e, em)
    end
  end
end

local function raise_link(view)
  error("row_data: " .. view.name .. " leads to a row without a key", 0)
end

-- The change set is never run: it converts, and knows what is missing. What is an expression counts as given.
local function converted(aside, map, rows)
  local shelf, batch = aside:shelf_of(map), core.flush(aside.model, nil, core.now())
  for _, row in ipairs(rows) do
    local values = shelf:written(row.slot, raise_link)
    row.index = batch:insert(map.id, shelf, row.slot, values)
    for index in pairs(row.raws or {}) do batch:pending(row.index, index, row.index, index) end
  end
  gather.check_required(aside, batch)
  local version = map.version
  for _, row in ipairs(rows) do
    row.values = batch:columns(row.index)
    if version and row.values[version.index] == nil then
      row.values[version.index] = version.type == "timestamp" and core.now() or 1
    end
  end
end

-- What the data says and the change set leaves out is NULL.
local function fill_null(map, row, data)
  for name in pairs(data or {}) do
    local view = map.props[name]
    for _, column in ipairs(view and columns_of(view) or {}) do
      local filled = column.generated or column.at and column.default_sql
      if row.values[column.index] == nil and not filled then row.values[column.index] = null end
    end
  end
end

---Rows of data as the database takes them. Raises `validation`, `unknown_property`, before anything is sent.
---@param em table the entity manager whose call it is
---@param entity any
---@param list table[] data, as read gives it: { data =, raws = }
---@param made fun(row: table)|nil called when each row's instance (row.e) has been made
---@param before fun(e: table, row: table)|nil called with each row's instance when on_create has run
---@return table[] rows the same list, each with `values`: database values by column index, NULL as orm.null
function row_data.convert(em, entity, list, made, before)
  local aside = em:sibling()
  aside.plain, aside.transactions = true, em.transactions
  local map = aside:mapping(entity)
  local shelf = aside:shelf_of(map)
  row_data.create(aside, entity, list, function(row)
    if made then made(row) end
    row.slot = shelf:adopt(row.e)
  end)
  for _, row in ipairs(list) do
    fill(em, map, row)
    if before then before(row.e, row) end
  end
  converted(aside, map, list)
  for _, row in ipairs(list) do
    fill_null(map, row, row.data)
    fill_null(map, row, row.links)
    row.e, row.slot = nil, nil
  end
  aside:clear()
  return list
end

return row_data
