--- From a builder to plans and their parameters, kept by shape as those of `select.lua` are.
local errors = require("heddle.errors")
local decode = require("heddle.query.decode")
local find_options = require("heddle.find_options")
local items = require("heddle.query.items")
local locks = require("heddle.locks")
local read = require("heddle.query.read")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local sql = require("heddle.query.sql")
local statement = require("heddle.statement")

require("heddle.query.ref")
require("heddle.query.words")

local plan = {}

local COUNT = { { type = "bigint", name = "count" } }

local function plan_of(made, node, text, columns, partial)
  return {
    sql = text, param_columns = made.param_columns, columns = columns, mapping = node.mapping, partial = partial,
    reads = made.reads, lock = node.lock, impatient = locks.is_impatient(node.mapping, node.lock),
  }
end

local function open(mapping, to)
  local made = statement.bare(mapping)
  made:open(to.code, 1)
  return made
end

local function build_rows(mapping, to, node)
  local made = open(mapping, to)
  local found = plan_of(made, node, sql.rows(made, node), decode.results(node.columns), false)
  found.items = node.items
  return found
end

local function build_entities(mapping, to, node)
  local made = open(mapping, to)
  return plan_of(made, node, sql.entities(made, node, node.entity), node.entity, node.is_partial)
end

local function build_count(mapping, to, node)
  local made = open(mapping, to)
  local makes_rows = #node.groups > 0 or node.having_at
    or (node.distinct or #node.parts > 0) and not node.is_whole
  local is_entity = node.entity ~= nil and not makes_rows and #node.mapping.key > 0
  return plan_of(made, node, sql.count(made, node, is_entity), COUNT, false)
end

-- What cannot be in one query.
local function check(self, node)
  if not node.lock then return end
  locks.check(node.mapping, node.lock, "query:lock")
  local reason = #node.parts > 0 and "a union" or #node.groups > 0 and "groups" or node.distinct and "distinct"
    or node.root.mapping.derived and "what a sub-query gives"
  if reason and node.entity == nil then
    errors.raise("validation", "query:lock: rows are locked, and " .. reason .. " has none of its own",
      { context = self.em.context_name, entity = node.mapping.name })
  end
end

local function is_of_entity(node)
  local root = node.root.mapping
  if #node.parts > 0 and #root.key == 0 then return nil end
  for _, part in ipairs(node.parts) do
    if part.node.root.mapping ~= root or not is_of_entity(part.node) then return nil end
    if not items.columns_of_entity(part.node.root, part.node.items) then return nil end
  end
  return true
end

local function read_query(self, use)
  local to = shape.new("query " .. use)
  to.context = self.em.context_name
  local node = read.query(to, self, use)
  if use ~= "rows" and is_of_entity(node) then
    node.entity, node.is_partial = items.columns_of_entity(node.root, node.items)
  end
  check(self, node)
  if next(self.opts) ~= nil then
    local opts = {}
    for name, value in pairs(self.opts) do opts[name] = value end
    find_options.check(node.mapping, opts)
  end
  return to, node
end

local function check_named(node)
  for i, item in ipairs(node.items) do
    if not item.name then
      return resolve.refuse("validation", node.mapping, nil, "select", "item " .. i .. " has no name for its value: "
        .. "select { total = ... }, or orm.raw \"... AS total\"")
    end
  end
end

---Whether entities of its root are what a query selects.
---@return boolean
function plan.selects_entities(self)
  local _, node = read_query(self, "all")
  return node.entity ~= nil
end

---The plan of a query that gives plain rows.
---@param self heddle.Query
---@return table plan with `items`
---@return any[] params
function plan.rows(self)
  local to, node = read_query(self, "rows")
  check_named(node)
  return shape.plan(to, node.mapping, build_rows, node), to.params
end

---The plan of a query that gives entities. Raises `validation` when it selects something else.
---@param self heddle.Query
---@param use "all"|"one"
---@return table plan
---@return any[] params
function plan.entities(self, use)
  local to, node = read_query(self, use)
  if not node.entity then
    return errors.raise("validation", ("query:%s gives entities, and this query selects something else than "
      .. "properties of %s: use rows()"):format(use, node.root.mapping.name), resolve.fields(node.mapping))
  end
  return shape.plan(to, node.mapping, build_entities, node), to.params
end

---The plan of a query that counts.
---@param self heddle.Query
---@return table plan
---@return any[] params
function plan.count(self)
  local to, node = read_query(self, "count")
  return shape.plan(to, node.mapping, build_count, node), to.params
end

return plan
