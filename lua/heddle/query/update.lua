--- UPDATE and DELETE of a query.
local data = require("heddle.bulk.data")
local errors = require("heddle.errors")
local quote = require("heddle.quote")
local read = require("heddle.query.read")
local resolve = require("heddle.resolve")
local returning = require("heddle.query.returning")
local shape = require("heddle.shape")
local sql = require("heddle.query.sql")
local statement = require("heddle.statement")

local update = {}

local function build(mapping, to, extra)
  local node, alias = extra.node, sql.alias(extra.node.root)
  local made = statement.new(mapping, alias)
  local set = extra.verb == "update" and data.sql(made, mapping, to.code) or ""
  made.code = to.code
  local with, where = sql.target(made, node)
  local head = extra.verb == "update" and "UPDATE " or "DELETE FROM "
  local text = with .. head .. quote.table(mapping) .. " AS " .. alias .. set .. where
  return returning.plan(extra.given, made, mapping, text)
end

---The plan of an UPDATE or DELETE and its parameters. One without a where is refused, unless `all = true` says that
---every row is meant.
---@param self heddle.Query
---@param map table
---@param given heddle.query.Returning
---@return table plan
---@return any[] params
function update.plan(self, map, given)
  local to = shape.new("query " .. self.verb)
  if self.verb == "update" then data.read(to, map, self.data) end
  local node = read.target(to, self)
  if not node.is_bound and self.opts.all ~= true then
    errors.raise("validation", ("query:%s of %s: without a where it is about every row: is a variable in it nil? Say "
      .. "options { all = true } if every row is meant"):format(self.verb, map.name), resolve.fields(map))
  end
  shape.emit(to, given.use)
  for _, word in ipairs(given.words) do shape.emit(to, word) end
  returning.add_params(given, to.params, to.count)
  return shape.plan(to, map, build, { verb = self.verb, node = node, given = given }), to.params
end

return update
