--- Changes that both databases word alike, so that a migration runs on either: methods of `m` over `m:sql`.
local described = require("heddle.migrations.columns")
local errors = require("heddle.errors")
local options = require("heddle.options")
local quote = require("heddle.quote")

local helpers = {}

local function check_name(self, name, what)
  if type(name) == "string" and name ~= "" and not name:find("%z") then return end
  errors.raise("validation", ("%s takes names, not %s"):format(what, options.describe(name)),
    { context = self.context_name })
end

-- "schema.table" is two names.
local function table_sql(self, name, what)
  check_name(self, name, what)
  local schema, rest = name:match("^([^.]+)%.([^.]+)$")
  return schema and quote.name(schema) .. "." .. quote.name(rest) or quote.name(name)
end

local function column_sql(self, name, what)
  check_name(self, name, what)
  return quote.name(name)
end

local methods = {}

---Usage: `m:rename_table("users", "people")`
---@param from string "table" or "schema.table"
---@param to string
function methods:rename_table(from, to)
  self:sql(("ALTER TABLE %s RENAME TO %s"):format(table_sql(self, from, "m:rename_table"),
    column_sql(self, to, "m:rename_table")))
end

---Usage: `m:rename_column("users", "name", "full_name")`
---@param name string table
---@param from string
---@param to string
function methods:rename_column(name, from, to)
  self:sql(("ALTER TABLE %s RENAME COLUMN %s TO %s"):format(table_sql(self, name, "m:rename_column"),
    column_sql(self, from, "m:rename_column"), column_sql(self, to, "m:rename_column")))
end

---Makes a table with its indexes and foreign keys; columns are described as an entity's properties are, and a foreign
---key by `references` (`on_delete`, `on_update`). Raises `validation`, `metadata` for what cannot be.
---
---Usage: `m:create_table("users", { { "id", type = "integer", primary = true }, { "team_id", type = "integer",
---nullable = true, references = "teams", on_delete = "set null" }, indexes = { { "team_id", "id desc" } } })`
---@param name string
---@param spec table columns, and `comment indexes uniques checks`
function methods:create_table(name, spec)
  check_name(self, name, "m:create_table")
  for _, text in ipairs(described.create_table(self, name, spec)) do self:sql(text) end
end

---Usage: `m:add_column("users", { "age", type = "integer", default = 0 })`, `m:add_column("users", "age",
---"integer NOT NULL DEFAULT 0")`
---@param name string table
---@param column string|table a name, or a column as in `create_table`
---@param definition string|nil its type and what follows, as SQL
function methods:add_column(name, column, definition)
  local comment
  if type(column) == "table" then
    check_name(self, name, "m:add_column")
    check_name(self, column[1], "m:add_column")
    definition, comment = described.definition(self, name, column)
  else
    check_name(self, definition, "m:add_column")
    definition = column_sql(self, column, "m:add_column") .. " " .. definition
  end
  self:sql(("ALTER TABLE %s ADD COLUMN %s"):format(table_sql(self, name, "m:add_column"), definition))
  if comment then self:sql(comment) end
end

---Usage: `m:drop_column("users", "age")`
---@param name string table
---@param column string
function methods:drop_column(name, column)
  self:sql(("ALTER TABLE %s DROP COLUMN %s"):format(table_sql(self, name, "m:drop_column"),
    column_sql(self, column, "m:drop_column")))
end

---Usage: `m:drop_table("users")`
---@param name string
function methods:drop_table(name)
  self:sql("DROP TABLE " .. table_sql(self, name, "m:drop_table"))
end

local index_rules = { name = options.text, unique = options.boolean, where = options.text, method = options.text,
  concurrently = options.boolean }

-- A column, or "column desc".
local function part_sql(self, part)
  check_name(self, part, "m:create_index")
  local name, direction = part:match("^(.-)%s+([%a]+)$")
  direction = direction and direction:upper()
  if direction == "ASC" or direction == "DESC" then return quote.name(name) .. " " .. direction, name end
  return quote.name(part), part
end

---Usage: `m:create_index("users", { "email", "created_at desc" }, { unique = true, where = "active" })`
---@param name string table
---@param columns string[] each a column, with "asc" or "desc" behind it
---@param opts? { name: string, unique: boolean, where: string, method: string, concurrently: boolean } `method` and
---`concurrently` are PostgreSQL's; the latter needs `transaction = false`
function methods:create_index(name, columns, opts)
  opts = opts or {}
  options.check(opts, index_rules, function(message)
    errors.raise("validation", "m:create_index: " .. message, { context = self.context_name })
  end)
  if type(columns) ~= "table" or #columns == 0 then check_name(self, nil, "m:create_index") end
  local parts, plain = {}, {}
  for i, part in ipairs(columns) do parts[i], plain[i] = part_sql(self, part) end
  local index = opts.name or (name:gsub("%.", "_") .. "_" .. table.concat(plain, "_") .. "_index")
  local is_postgres = self.driver == "postgres"
  self:sql(("CREATE %sINDEX %s%s ON %s %s(%s)%s"):format(opts.unique and "UNIQUE " or "",
    opts.concurrently and is_postgres and "CONCURRENTLY " or "", quote.name(index),
    table_sql(self, name, "m:create_index"), opts.method and is_postgres and "USING " .. opts.method .. " " or "",
    table.concat(parts, ", "), opts.where and " WHERE " .. opts.where or ""))
end

---Usage: `m:drop_index("users_email_index")`
---@param name string
function methods:drop_index(name)
  self:sql("DROP INDEX " .. table_sql(self, name, "m:drop_index"))
end

---Whether a table is there.
---
---Usage: `if not m:has_table("users") then m:sql(...) end`
---@param name string
---@return boolean
function methods:has_table(name)
  if self.driver == "postgres" then
    return self:execute("SELECT to_regclass(?) IS NOT NULL AS found", table_sql(self, name, "m:has_table"))[1].found
  end
  check_name(self, name, "m:has_table")
  return #self:execute("SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = ?", name) > 0
end

---Whether a table has a column.
---
---Usage: `if m:has_column("users", "age") then m:drop_column("users", "age") end`
---@param name string table
---@param column string
---@return boolean
function methods:has_column(name, column)
  check_name(self, column, "m:has_column")
  if self.driver == "postgres" then
    return #self:execute("SELECT 1 AS found FROM pg_attribute WHERE attrelid = to_regclass(?) AND attname = ? "
      .. "AND attnum > 0 AND NOT attisdropped", table_sql(self, name, "m:has_column"), column) > 0
  end
  check_name(self, name, "m:has_column")
  return #self:execute("SELECT 1 AS found FROM pragma_table_xinfo(?) WHERE name = ?", name, column) > 0
end

---Gives a class the helpers.
---@param class table
function helpers.add(class)
  for name, method in pairs(methods) do class[name] = method end
end

return helpers
