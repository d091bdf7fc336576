--- One column of the schema model: its type on each driver, default and nullability.
---
--- SQLite gets INTEGER, REAL, TEXT or BLOB, whatever the type: a decimal is text there, because NUMERIC would make
--- a double of it. What a value may be is checked before it is sent, on both drivers.
local compat = require("heddle.compat")
local quote = require("heddle.quote")

local column = {}

local postgres = {
  smallint = "smallint", integer = "integer", bigint = "bigint", float = "double precision",
  double = "double precision", text = "text", boolean = "boolean", uuid = "uuid", json = "jsonb",
  timestamp = "timestamptz", date = "date", time = "time", blob = "bytea", enum = "text",
}

local sqlite = {
  smallint = "INTEGER", integer = "INTEGER", bigint = "INTEGER", boolean = "INTEGER", float = "REAL",
  double = "REAL", blob = "BLOB",
}

local function postgres_type(col, name)
  if name == "string" then return col.length and ("varchar(%d)"):format(col.length) or "text" end
  if name == "decimal" then
    return col.precision and ("numeric(%d,%d)"):format(col.precision, col.scale or 0) or "numeric"
  end
  if name == "array" then return postgres_type(col, col.array_of) .. "[]" end
  return postgres[name] or col.cast
end

---The database's type of a column. Usage: `column.type(col, "postgres")` is "varchar(255)"
---@param col table
---@param driver "postgres"|"sqlite"
---@return string
function column.type(col, driver)
  if driver == "postgres" then return postgres_type(col, col.type) end
  if col.type == "unknown" then return col.cast end
  return sqlite[col.type] or "TEXT"
end

-- A decimal as it is stored: padded to its scale. nil for what is none.
local function decimal_text(value, scale)
  local text = type(value) == "number" and ("%.15g"):format(value) or value
  local whole, fraction = text:match("^(%-?%d+)%.?(%d*)$")
  if not whole or scale and #fraction > scale then return nil end
  if scale then fraction = fraction .. ("0"):rep(scale - #fraction) end
  return fraction == "" and whole or whole .. "." .. fraction
end

local function number_text(value)
  if type(value) == "string" then return value:match("^%-?%d+$") end
  if value % 1 == 0 and value > -2 ^ 53 and value < 2 ^ 53 then return ("%.0f"):format(value) end
  if compat.math_type(value) == "integer" then return ("%d"):format(value) end
  if value ~= value or value == math.huge or value == -math.huge then return nil end
  return ("%.17g"):format(value)
end

local quoted = { string = true, text = true, enum = true, date = true }
local integers = { smallint = true, integer = true, bigint = true, float = true, double = true }

---A value as a literal of the column's type, nil where the database would keep another form than Heddle
---writes (or where there is no literal).
---@param col table
---@param value any
---@param driver "postgres"|"sqlite"
---@return string|nil
function column.literal(col, value, driver)
  if integers[col.type] then return number_text(value) end
  if quoted[col.type] and type(value) == "string" then return quote.text(value) end
  if col.type == "uuid" and type(value) == "string" then return quote.text(value:lower()) end
  if col.type == "decimal" then
    local text = decimal_text(value, col.scale)
    return text and (driver == "postgres" and text or quote.text(text))
  end
  if col.type == "boolean" then
    if driver == "postgres" then return tostring(value) end
    return value and "1" or "0"
  end
end

-- The default that the database applies by itself: `default_sql`, or a `default` that has a literal, so that
-- rows written without Heddle get it too.
local function default_text(col, driver)
  if col.default_sql then
    return driver == "sqlite" and "(" .. col.default_sql .. ")" or col.default_sql
  end
  -- Rows of other entities in the same table have nothing there, and a value that may be absent has not as a whole.
  local prop = not col.partial and not col.optional and (col.prop or col.view.prop)
  local value = prop and prop.default
  if prop and prop.kind == "scalar" and not col.custom and value ~= nil and type(value) ~= "userdata" then
    return column.literal(col, value, driver)
  end
end

-- What tells a column from the others of its table, however they are called: the property, and where that has several
-- columns, which one of them.
local function identity(col)
  local fk = col.foreign_key
  if not fk then return col.property or col.name end
  if #fk.columns == 1 then return col.view.name end
  for position, each in ipairs(fk.columns) do
    if each == col then return col.view.name .. "." .. identity(fk.target_columns[position]) end
  end
end

---A mapping's column as the schema model has it: { name, type, nullable, default, generated, autoincrement, comment,
---property, kind }, texts as Heddle writes them.
---
---Usage: `column.of(mapping.columns[1], "postgres").type` is "varchar(255)"
---@param col table
---@param driver "postgres"|"sqlite"
---@return table
function column.of(col, driver)
  local made = {
    name = col.name, type = column.type(col, driver), nullable = col.nullable or false,
    -- The rowid of SQLite is a key by itself.
    autoincrement = col.autoincrement and not (col.rowid and driver == "sqlite") or false,
    generated = col.generated or nil, virtual = driver == "sqlite" and col.virtual or nil, property = identity(col),
    kind = col.type,
  }
  if not made.generated and not col.autoincrement then made.default = default_text(col, driver) end
  -- SQLite has none.
  if driver == "postgres" and col.comment ~= "" then made.comment = col.comment end
  return made
end

return column
