--- Queries that write: UPDATE, DELETE and INSERT, with what they give back. Managed entities do not follow, but for
--- those that `all` gives.
local apart = require("heddle.apart")
local decode = require("heddle.query.decode")
local errors = require("heddle.errors")
local fetch = require("heddle.fetch")
local find_options = require("heddle.find_options")
local hooks = require("heddle.hooks")
local insert = require("heddle.query.insert")
local loads = require("heddle.loads")
local readonly = require("heddle.readonly")
local resolve = require("heddle.resolve")
local returning = require("heddle.query.returning")
local update = require("heddle.query.update")

local write = {}

local function refuse(self, map, message)
  return errors.raise("validation", ("query:%s of %s: %s"):format(self.verb, map.name, message), resolve.fields(map))
end

local unfit = { joins = "join", items = "select", groups = "group_by", havings = "having", orders = "order_by",
  parts = "union" }

-- What a write has no place for.
local function check(self, map)
  for name, method in pairs(unfit) do
    if #self[name] > 0 then
      refuse(self, map, method .. " has no place in it" .. (name == "joins" and ": say in where which rows are meant, "
        .. "over relations or with a sub-query" or name == "items" and ": returning says what it gives back" or ""))
    end
  end
  for name, method in pairs({ limited = "limit", skipped = "offset", unique = "distinct", locked = "lock" }) do
    if self[name] ~= nil then refuse(self, map, method .. " has no place in it") end
  end
  if self.verb == "insert" and (#self.wheres > 0 or #self.ctes > 0) then
    refuse(self, map, "where and with have no place in it; on_conflict has a where of its own")
  elseif self.verb ~= "insert" and self.conflict then
    refuse(self, map, "on_conflict belongs to an insert")
  end
  find_options.check(map, self.opts)
  if self.opts.populate then refuse(self, map, "populate has no place in it") end
end

local function begin(self)
  local map = self.em:mapping(self.source)
  check(self, map)
  return map
end

-- The statements of a query, each { plan, params, rows = of an insert }.
local function statements(self, map, use)
  local given = returning.read(self, map, use)
  if self.verb == "insert" then return insert.statements(self, map, given), given end
  local plan, params = update.plan(self, map, given)
  return { { plan = plan, params = params } }, given
end

local function affected(em, plan, params, opts)
  local status, link = em:start(plan, params, opts)
  if status == 1 then link:finish() end
  local count = link:affected()
  fetch.finish(em, link, plan, opts)
  return count
end

local function collect(self, each, given, opts)
  local em = self.em
  if given.use == "entities" then
    if self.verb == "delete" or self.opts.managed == false then
      return (fetch.unmanaged(em, each.plan, each.params, opts))
    end
    local list, shelf = fetch.managed(em, each.plan, each.params, opts)
    loads.settle(em, shelf)
    return list
  end
  if not given.items then return {}, affected(em, each.plan, each.params, opts) end
  local list = fetch.arrays(em, each.plan, each.params, opts)
  for i = 1, #list do list[i] = decode.row(given.items, list[i]) end
  return list
end

-- In the order of the rows that were given, where each of them gave one back.
local function put(into, each, list)
  local is_whole = each.rows ~= nil and #each.rows == #list
  for i, item in ipairs(list) do
    if is_whole then into[each.rows[i].number] = item else into.rest[#into.rest + 1] = item end
  end
end

local function run_all(self, list, given, opts)
  local count, found = 0, { rest = {} }
  for _, each in ipairs(list) do
    local rows, touched = collect(self, each, given, opts)
    count = count + (touched or #rows)
    put(found, each, rows)
  end
  local rows, numbers = {}, {}
  for number in pairs(found) do
    if number ~= "rest" then numbers[#numbers + 1] = number end
  end
  table.sort(numbers)
  for i, number in ipairs(numbers) do rows[i] = found[number] end
  for _, row in ipairs(found.rest) do rows[#rows + 1] = row end
  return rows, count
end

local function run(self, use)
  local map, em = begin(self), self.em
  local what = "query:" .. self.verb
  if self.verb == "insert" then readonly.check(em, map, what) else readonly.check_family(em, map, what) end
  hooks.guard_writes(em, "query():" .. self.verb)
  local list, given = statements(self, map, use)
  for _, each in ipairs(list) do fetch.flush_before(em, each.plan, self.opts) end
  local opts = find_options.shared(self.opts, { connection = "write" })
  opts.connection = "write"
  if #list > 1 then return apart.run(em, run_all, self, list, given, opts) end
  return run_all(self, list, given, opts)
end

---Runs a write: what `returning` names, and how many rows were written.
---@param self heddle.Query
---@return table[] rows
---@return integer count
function write.rows(self)
  return run(self, "rows")
end

---Runs a write: the entities that it wrote. Deleted ones belong to no entity manager.
---@param self heddle.Query
---@return table[]
function write.entities(self)
  return (run(self, "entities"))
end

---The statement of a write, to be read.
---@param self heddle.Query
---@return table plan
---@return any[] params
function write.plan(self)
  local list = statements(self, begin(self), "rows")
  if #list == 1 then return list[1].plan, list[1].params end
  local texts, params, columns = {}, {}, {}
  for i, each in ipairs(list) do
    texts[i] = each.plan.sql
    for k = 1, #each.plan.param_columns do
      columns[#columns + 1], params[#columns + 1] = each.plan.param_columns[k], each.params[k]
    end
  end
  return { sql = table.concat(texts, ";\n"), param_columns = columns, several = true }, params
end

return write
