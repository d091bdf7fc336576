--- Writing without the unit of work: insert, insert_many, update_where, delete_where.
local apart = require("heddle.apart")
local bulk = require("heddle.bulk")
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local fetch = require("heddle.fetch")
local groups = require("heddle.upsert.groups")
local hooks = require("heddle.hooks")
local manager = require("heddle.manager")
local named_filters = require("heddle.named_filters")
local readonly = require("heddle.readonly")
local routing = require("heddle.routing")
local row_data = require("heddle.row_data")
local upsert_sql = require("heddle.upsert.sql")

local Manager = manager.class
local admit = manager.admit

local WRITE = { connection = "write" }

local function run(self, plan, params, opts)
  local status, link = self:start(plan, params, { connection = "write", timeout = opts and opts.timeout })
  if status == 1 then link:finish() end
  local affected = link:affected()
  if self.context:is_logged() then self.context:log(link) end
  routing.note(self, plan, WRITE)
  return affected
end

---Updates rows by filter, without entities. Raises `validation` for an empty filter unless `all = true`.
---
---Usage: `em:update_where(User, { team = 3 }, { active = false })`
---@return integer rows
function Manager:update_where(entity, where, data, opts)
  admit(self)
  local map = self:mapping(entity)
  readonly.check_family(self, map, "em:update_where")
  hooks.guard_writes(self, "update_where")
  local plan, params = bulk.update(map, where, data, opts, map.named and named_filters.of(self, opts))
  fetch.flush_before(self, plan)
  return run(self, plan, params, opts)
end

---Deletes rows by filter, without entities.
---
---Usage: `em:delete_where(Session, { expires_at = op.lt(orm.now()) })`
---@return integer rows
function Manager:delete_where(entity, where, opts)
  admit(self)
  local map = self:mapping(entity)
  readonly.check_family(self, map, "em:delete_where")
  hooks.guard_writes(self, "delete_where")
  local plan, params = bulk.delete(map, where, opts, map.named and named_filters.of(self, opts))
  fetch.flush_before(self, plan)
  return run(self, plan, params, opts)
end

-- Rows written through an identity map of their own, on this one's connection and transaction.
local function insert_plain(self, entity, rows)
  if #rows == 0 then return end
  local aside = self:sibling()
  aside.plain = true
  aside.transactions = self.transactions
  row_data.create(aside, entity, rows, function(row) aside:persist(row.e) end)
  aside:flush()
  local shelf = aside:shelf_of(aside:mapping(entity))
  for _, row in ipairs(rows) do row.key = shelf:program_key(shelf.slot_of[row.e]) end
  aside:clear()
end

-- One statement for each row: nobody but its own answer says which key it got.
local function insert_expressions(self, map, rows)
  for _, row in ipairs(rows) do
    local group = groups.of(map, row)
    local plan = upsert_sql.insert(map, group, 1, true)
    local told = fetch.arrays(self, plan, upsert_sql.insert_params(group, { row }), WRITE)
    if not told[1] then
      errors.raise("not_found", ("insert of %s: the database wrote no row; a trigger takes it away"):format(map.name),
        { context = self.context_name, entity = map.name })
    end
    row.key = custom.key(map.key, told[1], custom.from_db)
  end
end

local function insert_rows(self, entity, list, what)
  local map = self:mapping(entity)
  readonly.check(self, map, "em:" .. what)
  hooks.guard_writes(self, what)
  local rows, plain, raw = {}, {}, {}
  for i, data in ipairs(list) do
    local copy, raws = row_data.read(self, map, data, what)
    rows[i] = { data = copy, raws = raws }
    local kind = raws and raw or plain
    kind[#kind + 1] = rows[i]
  end
  if #raw == 0 then
    insert_plain(self, entity, plain)
  else
    row_data.convert(self, entity, raw)
    apart.run(self, function()
      insert_plain(self, entity, plain)
      insert_expressions(self, map, raw)
    end)
  end
  local keys = {}
  for i, row in ipairs(rows) do keys[i] = #row.key == 1 and row.key[1] or row.key end
  return keys
end

---Inserts one row without an entity to manage; hooks do not run. Gives its key. Values may be orm.raw.
---
---Usage: `local id = em:insert(User, { name = "John", team = team, seen = orm.raw("now()") })`
---@param entity table|string
---@param data table
---@return any key a list when it is composite
function Manager:insert(entity, data)
  admit(self)
  self:enter()
  return insert_rows(self, entity, { data or {} }, "insert")[1]
end

---Inserts many rows, all or none; gives their keys in the order of the list.
---
---Usage: `local ids = em:insert_many(User, { { name = "John" }, { name = "Jane" } })`
---@param entity table|string
---@param list table[]
---@return any[] keys
function Manager:insert_many(entity, list)
  admit(self)
  self:enter()
  row_data.check_list(self, self:mapping(entity), list, "insert_many")
  return insert_rows(self, entity, list, "insert_many")
end

return Manager
