--- EXPLAIN of a query: the plan of its statement as lines of text, with its parameters bound as they would be.
local errors = require("heddle.errors")
local fetch = require("heddle.fetch")
local find_options = require("heddle.find_options")

local explain = {}

local TEXT = { { type = "text", name = "plan" } }
local STEPS = { { type = "integer", name = "id" }, { type = "integer", name = "parent" },
  { type = "integer", name = "notused" }, { type = "text", name = "detail" } }

local function check(self, opts)
  local context = { context = self.em.context_name }
  if opts == nil then return false end
  if type(opts) ~= "table" or getmetatable(opts) ~= nil then
    errors.raise("validation", "query:explain takes a table of options, { analyze = true }", context)
  end
  for name, value in pairs(opts) do
    if name ~= "analyze" then
      errors.raise("unknown_property", "query:explain: " .. errors.quote(name) .. " is no option; there is analyze",
        context)
    elseif type(value) ~= "boolean" then
      errors.raise("validation", "query:explain: analyze is true or false, not a " .. type(value), context)
    end
  end
  return opts.analyze == true
end

local function refuse_analyze(self)
  local context = { context = self.em.context_name }
  if self.em.context.driver_name == "sqlite" then
    errors.raise("unsupported", "query:explain: SQLite tells no times: leave analyze out", context)
  elseif self.verb ~= "select" then
    errors.raise("validation", "query:explain: analyze runs the statement, and this one writes: leave it out", context)
  end
end

-- Steps stand behind their parents, further in.
local function lines_of(rows)
  local lines, depth = {}, { [0] = -1 }
  for i, row in ipairs(rows) do
    depth[row[1]] = (depth[row[2]] or -1) + 1
    lines[i] = ("  "):rep(depth[row[1]]) .. row[4]
  end
  return lines
end

---@param self heddle.Query
---@param plan_of fun(query: heddle.Query): table, any[]
---@param opts table|nil
---@return string[]
function explain.run(self, plan_of, opts)
  local analyze = check(self, opts)
  if analyze then refuse_analyze(self) end
  local em, plan, params = self.em, plan_of(self)
  if plan.several then
    errors.raise("validation", "query:explain: these rows take several statements: explain one of them",
      { context = em.context_name })
  end
  local is_sqlite, is_read = plan.mapping.driver == "sqlite", self.verb == "select"
  if is_read then fetch.flush_before(em, plan, self.opts) end
  local asked = {
    sql = (is_sqlite and "EXPLAIN QUERY PLAN " or analyze and "EXPLAIN (ANALYZE) " or "EXPLAIN ") .. plan.sql,
    param_columns = plan.param_columns, columns = is_sqlite and STEPS or TEXT, mapping = plan.mapping,
    reads = plan.reads, partial = false, once = true, lock = plan.lock,
  }
  local shared = find_options.shared(self.opts, not is_read and { connection = "write" } or nil)
  local rows = fetch.arrays(em, asked, params, shared)
  if is_sqlite then return lines_of(rows) end
  for i, row in ipairs(rows) do rows[i] = row[1] end
  return rows
end

return explain
