--- `op.ref "b.title"`: a column instead of a value, in a filter.
local errors = require("heddle.errors")
local expression = require("heddle.expression")
local level = require("heddle.query.level")
local op = require("heddle.op")
local place = require("heddle.filter.place")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")

require("heddle.query.words") -- by which it is written

local Ref = { __name = "heddle.ref", __sql = true }
Ref.__index = Ref
Ref.__tostring = function(self) return "op.ref '" .. self.name .. "'" end

local ref = {}

---A property that a property is compared with, of the same entity, or of one that a query gave an alias:
---`{ updated_at = op.gt(op.ref "created_at") }`, `{ author = op.ref "a.id" }`.
---@param name string
---@return table
function op.ref(name)
  if type(name) ~= "string" or name == "" or name:find("%c") then
    errors.raise("validation", "op.ref takes the name of a property, as in op.ref \"a.id\", not "
      .. (type(name) == "string" and "that one" or "a " .. type(name)))
  end
  return setmetatable({ name = name }, Ref)
end

local function is_alias(to, name)
  local first, rest = name:match("^([^.]+)%.(.+)$")
  if not (first and to.level) then return nil end
  return level.source(to.level, first), rest
end

local function columns_of(mapping, name)
  local columns = resolve.columns(mapping, name, "op.ref")
  if #columns == 0 then
    resolve.refuse("validation", mapping, name, "op.ref", "this property has no column of its own")
  end
  return columns
end

-- Types are compared with themselves, numbers with numbers, text with text. Of "unknown" only the database knows.
local kinds = {
  smallint = "number", integer = "number", bigint = "number", float = "number", double = "number", decimal = "number",
  string = "text", text = "text", enum = "text",
}

local function kind_of(column)
  if column.type ~= "array" then return kinds[column.type] or column.type end
  return "array of " .. (kinds[column.array_of] == "text" and "text" or column.array_of)
end

local function check_type(at, own, other, name)
  local a, b = kind_of(own), kind_of(other)
  if a ~= b and a ~= "unknown" and b ~= "unknown" then
    return place.refuse(at, ("is of type %s and cannot be compared with op.ref '%s', of type %s"):format(own.type, name,
      other.type))
  end
  -- SQLite keeps decimals as text.
  if at.mapping.driver == "sqlite" and a == b and (own.type == "decimal") ~= (other.type == "decimal") then
    return place.refuse(at, ("op.ref '%s' compares a decimal with a %s, which SQLite keeps in another form"):format(
      name, own.type == "decimal" and other.type or own.type), "unsupported")
  end
end

local function read(to, at, value)
  local source, rest = is_alias(to, value.name)
  local name = source and rest or value.name
  if not source and to.level and value.name:find(".", 1, true) then
    source, name = level.split(to.level, value.name, "op.ref")
  end
  local columns = columns_of(source and source.mapping or at.mapping, name)
  local own = at.column and { at.column } or at.key or {}
  for i, column in ipairs(#own == #columns and columns or {}) do check_type(at, own[i], column, value.name) end
  shape.emit(to, source and source.alias or "-", name)
  shape.emit(to, shape.refer(to, { source = source, columns = columns }))
  return #columns
end

---Columns as one operand.
function ref.columns(made, scope, columns)
  local texts = {}
  for i, column in ipairs(columns) do texts[i] = made:column(scope, column) end
  if #texts == 1 then return texts[1] end
  return "(" .. table.concat(texts, ", ") .. ")"
end

local function sql(made, scope)
  made.at = made.at + 2
  local found = made.code.refs[made:next_word()]
  return ref.columns(made, found.source and found.source.scope or scope, found.columns)
end

expression.register(Ref, { word = "ref", name = "reference", read = read, sql = sql })

return ref
