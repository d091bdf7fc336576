--- The statements that make one table: CREATE TABLE, its indexes, foreign keys and comments.
local column = require("heddle.schema.column")
local naming = require("heddle.naming")
local partial = require("heddle.schema.partial")
local quote = require("heddle.quote")

local tables = {}

local rules = {
  ["cascade"] = "CASCADE", ["set null"] = "SET NULL", ["set default"] = "SET DEFAULT", ["restrict"] = "RESTRICT",
  ["no action"] = "NO ACTION",
}

local function constraint(name, text)
  return "CONSTRAINT " .. quote.name(name) .. " " .. text
end

local function foreign_key(fk)
  local text = "FOREIGN KEY (" .. quote.columns(fk.columns) .. ") REFERENCES " .. quote.table(fk.target)
    .. " (" .. quote.columns(fk.target_columns) .. ")"
  if fk.on_delete then text = text .. " ON DELETE " .. rules[fk.on_delete] end
  if fk.on_update then text = text .. " ON UPDATE " .. rules[fk.on_update] end
  if fk.deferrable then text = text .. " DEFERRABLE INITIALLY IMMEDIATE" end
  return constraint(fk.name, text)
end

local function enum_check(mapping, col)
  local labels = {}
  for i, label in ipairs(col.enum) do labels[i] = quote.text(label) end
  return constraint(naming.constraint(mapping.table, { col.name }, "enum"),
    "CHECK (" .. quote.name(col.name) .. " IN (" .. table.concat(labels, ", ") .. "))")
end

local function add_constraints(lines, mapping)
  if not mapping.auto_key or mapping.driver == "postgres" then
    lines[#lines + 1] = "PRIMARY KEY (" .. quote.columns(mapping.key) .. ")"
  end
  for _, unique in ipairs(mapping.uniques) do
    -- What has a condition or an order is an index, and stands among those too.
    if not unique.index then
      lines[#lines + 1] = constraint(unique.name, "UNIQUE (" .. quote.columns(unique.columns) .. ")")
    end
  end
  for _, col in ipairs(mapping.columns) do
    if col.enum and not col.foreign_key then lines[#lines + 1] = enum_check(mapping, col) end
  end
  for _, check in ipairs(mapping.checks) do
    lines[#lines + 1] = constraint(check.name, "CHECK (" .. check.expression .. ")")
  end
end

---CREATE TABLE. SQLite has its foreign keys inside, since it cannot add them later.
---@param mapping table
---@return string
function tables.create(mapping)
  local lines = {}
  for i, col in ipairs(mapping.columns) do lines[i] = column.sql(col, mapping.driver) end
  add_constraints(lines, mapping)
  if mapping.driver == "sqlite" then
    for _, fk in ipairs(mapping.foreign_keys) do lines[#lines + 1] = foreign_key(fk) end
  end
  return "CREATE TABLE " .. quote.table(mapping) .. " (\n  " .. table.concat(lines, ",\n  ") .. "\n)"
end

---CREATE INDEX for each index. SQLite knows one method only and gets none.
---@param mapping table
---@return string[]
function tables.indexes(mapping)
  local statements = {}
  for i, index in ipairs(mapping.indexes) do
    local parts = {}
    for k, part in ipairs(index.columns) do
      parts[k] = quote.name(part[1].name) .. (part.desc and " DESC" or "")
    end
    local method = index.method and mapping.driver == "postgres" and " USING " .. index.method or ""
    statements[i] = "CREATE " .. (index.unique and "UNIQUE " or "") .. "INDEX " .. quote.name(index.name) .. " ON "
      .. quote.table(mapping) .. method .. " (" .. table.concat(parts, ", ") .. ")"
      .. partial.sql(mapping, index.where, index.among)
  end
  return statements
end

---ALTER TABLE for each foreign key, on PostgreSQL, where tables that refer to each other are made first.
---@param mapping table
---@return string[]
function tables.foreign_keys(mapping)
  local statements = {}
  for i, fk in ipairs(mapping.foreign_keys) do
    statements[i] = "ALTER TABLE " .. quote.table(mapping) .. " ADD " .. foreign_key(fk)
  end
  return statements
end

---COMMENT ON, on PostgreSQL.
---@param mapping table
---@return string[]
function tables.comments(mapping)
  local statements, table_name = {}, quote.table(mapping)
  if mapping.meta.comment then
    statements[1] = "COMMENT ON TABLE " .. table_name .. " IS " .. quote.text(mapping.meta.comment)
  end
  for _, col in ipairs(mapping.columns) do
    if col.comment then
      statements[#statements + 1] = "COMMENT ON COLUMN " .. table_name .. "." .. quote.name(col.name) .. " IS "
        .. quote.text(col.comment)
    end
  end
  return statements
end

---What takes a table away: on PostgreSQL its foreign keys first, so that tables can go in any order.
---@param mapping table
---@return string[]
function tables.drop_foreign_keys(mapping)
  local statements = {}
  for i, fk in ipairs(mapping.foreign_keys) do
    statements[i] = "ALTER TABLE IF EXISTS " .. quote.table(mapping) .. " DROP CONSTRAINT IF EXISTS "
      .. quote.name(fk.name)
  end
  return statements
end

---@param mapping table
---@return string
function tables.drop(mapping)
  return "DROP TABLE IF EXISTS " .. quote.table(mapping)
end

return tables
