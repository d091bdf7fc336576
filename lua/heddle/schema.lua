--- `instance.schema`: the tables of a context's entities.
local compat = require("heddle.compat")
local context = require("heddle.context")
local raw_sql = require("heddle.raw_sql")
local sql = require("heddle.schema.sql")

local Schema = { __name = "heddle.schema" }
Schema.__index = Schema

---The statements that create the tables.
---
---Usage: `print(table.concat(orm.instance().schema:create_sql(), ";\n"))`
---@return string[]
function Schema:create_sql()
  return sql.create(self.context.mappings.list, self.context.driver_name)
end

---The statements that drop them.
---@return string[]
function Schema:drop_sql()
  return sql.drop(self.context.mappings.list, self.context.driver_name)
end

-- All or nothing: both databases roll DDL back.
local function run(self, statements)
  local item = self.context
  local link = item:link()
  link:begin(item.driver_name == "sqlite" and "BEGIN IMMEDIATE" or "BEGIN")
  local ok, err = compat.pcall(function()
    for _, text in ipairs(statements) do raw_sql.statement(item, link, text) end
    item:finish(link, link:commit())
  end)
  if not ok then item:finish(link, link:rollback()) end
  link:close()
  if not ok then error(err, 0) end
end

---Creates the tables of every entity of the context, all or none. Raises what the database says.
---
---Usage: `orm.instance():connect().schema:create()`
function Schema:create()
  run(self, self:create_sql())
end

---Drops them, with their rows.
function Schema:drop()
  run(self, self:drop_sql())
end

context.schema = function(item)
  return setmetatable({ context = item }, Schema)
end

return Schema
