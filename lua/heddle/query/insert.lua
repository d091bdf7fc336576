--- INSERT of a query: rows get what a flush gives new entities (defaults, on_create, conversions), without hooks, and
--- go into as few statements as their columns allow.
local array = require("heddle.array")
local errors = require("heddle.errors")
local groups = require("heddle.upsert.groups")
local relate = require("heddle.relate")
local resolve = require("heddle.resolve")
local returning = require("heddle.query.returning")
local row_data = require("heddle.row_data")
local shape = require("heddle.shape")
local sql = require("heddle.query.sql")
local upsert_options = require("heddle.upsert.options")
local upsert_rows = require("heddle.upsert.rows")
local upsert_sql = require("heddle.upsert.sql")

local insert = {}

local ROWS = 1000
local MOST_PARAMETERS = { postgres = 65535, sqlite = 32766 }

local function list_of(self, map)
  local data = self.data
  if data[1] == nil and not array.is_array(data) then return { data } end
  row_data.check_list(self.em, map, data, "query:insert")
  return data
end

local function read_conflict(self, map)
  if not self.conflict then return nil end
  local opts = upsert_options.read(map, self.conflict)
  opts.filter = groups.condition(map, opts.where)
  return opts
end

local function read_rows(self, map, conflict)
  local em, rows = self.em, {}
  for i, data in ipairs(list_of(self, map)) do
    local copy, raws = row_data.read(em, map, data, "query:insert")
    local row = { data = copy, raws = raws, given = {}, updated = {}, number = i }
    for name in pairs(data) do row.given[name] = true end
    rows[i] = row
  end
  return row_data.convert(em, self.source, rows, function(row)
    if conflict and (conflict.target or not conflict.ignore) then
      row.target = upsert_options.target(map, conflict, row)
    end
  end, conflict and upsert_rows.generators(map, em) or nil)
end

local function build(mapping, _, extra)
  local made, text = upsert_sql.statement(mapping, extra.group, extra.count, extra.alias)
  return returning.plan(extra.given, made, mapping, text)
end

-- Texts for one row and for a full statement come again; others are not worth keeping.
local function plan_of(to, map, extra, is_common)
  if is_common then return shape.plan(to, map, build, extra) end
  local plan = build(map, to, extra)
  plan.once = true
  return plan
end

local function statement_of(self, map, group, chunk, given, is_common)
  local to = shape.new("query insert")
  local alias = sql.alias({ alias = self.alias or "e0" })
  shape.emit(to, alias, #chunk)
  for _, word in ipairs(group.words) do shape.emit(to, word) end
  shape.emit(to, given.use)
  for _, word in ipairs(given.words) do shape.emit(to, word) end
  local params = upsert_sql.insert_params(group, chunk)
  local plan = plan_of(to, map, { group = group, count = #chunk, alias = alias, given = given }, is_common)
  returning.add_params(given, params, #plan.param_columns - #(given.params or {}))
  return { plan = plan, params = params, rows = chunk }
end

local function chunk_size(self, map, group, given)
  local most = MOST_PARAMETERS[map.driver] - 1 - #(given.params or {}) - (group.where and group.where.count or 0)
  for _, item in ipairs(group.opts and group.opts.raws or {}) do most = most - item.raw.second.n end
  local each = #group.columns
  for _, raw in pairs(group.raws) do each = each + raw[2] end
  if each == 0 then return 1 end
  return math.max(1, math.min(self.em.context.config.batch_size or ROWS, math.floor(most / each)))
end

---The statements of an INSERT, each { plan, params, rows }.
---@param self heddle.Query
---@param map table
---@param given heddle.query.Returning
---@return table[]
function insert.statements(self, map, given)
  if type(self.data) ~= "table" or getmetatable(self.data) ~= nil and not array.is_array(self.data) then
    errors.raise("validation", ("query:insert of %s takes a plain table, or a list of them, not %s"):format(map.name,
      relate.describe(self.data)), resolve.fields(map))
  end
  local conflict, list = read_conflict(self, map), {}
  for _, group in ipairs(groups.make(map, read_rows(self, map, conflict), conflict)) do
    local size = chunk_size(self, map, group, given)
    for first = 1, #group.rows, size do
      local chunk = {}
      for i = first, math.min(first + size - 1, #group.rows) do chunk[#chunk + 1] = group.rows[i] end
      list[#list + 1] = statement_of(self, map, group, chunk, given, #chunk == 1 or #chunk == size)
    end
  end
  return list
end

return insert
