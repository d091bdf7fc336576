--- `order_by`: "name", "name desc", "author.name asc nulls first", or { name = "desc" }.
--
-- NULLs stand where PostgreSQL puts them on both drivers: last when ascending, first when descending, unless the
-- term says otherwise. Text sorts by its column's collation. A hidden property of a related entity is no
-- name to sort by.
local errors = require("heddle.errors")
local resolve = require("heddle.resolve")

local order = {}

local function refuse(mapping, message)
  return errors.raise("validation", "order_by of " .. mapping.name .. ": " .. message, resolve.fields(mapping))
end

-- Terms are words of the shape, whose words are told apart by a control character.
local function checked(mapping, term)
  if term:find("%c") then return refuse(mapping, "a control character in " .. errors.quote(term)) end
  return term
end

local function term_of_table(mapping, term)
  local name, direction = next(term)
  if name == nil then return refuse(mapping, "an empty table is no term") end
  if next(term, name) ~= nil then
    return refuse(mapping, "a table with several names has no order: write a list, { \"a\", \"b desc\" }")
  end
  if type(name) ~= "string" or type(direction) ~= "string" then
    return refuse(mapping, "a term is a string or { name = \"desc\" }")
  end
  return checked(mapping, name .. " " .. direction)
end

---The terms as strings, not yet looked at: `{ "name desc", { id = "asc" } }` or `{ name = "desc" }`.
---@param mapping table
---@param given table
---@return string[]
function order.terms(mapping, given)
  if type(given) ~= "table" or getmetatable(given) ~= nil then
    return refuse(mapping, "takes a list, as in { \"name desc\", \"id\" }, not a " .. type(given))
  end
  if given[1] == nil then
    if next(given) == nil then return {} end
    return { term_of_table(mapping, given) }
  end
  local terms, count = {}, 0
  for _ in pairs(given) do count = count + 1 end
  if count ~= #given then return refuse(mapping, "is a list or one { name = \"desc\" }, not both") end
  for i, term in ipairs(given) do
    if type(term) == "table" and getmetatable(term) == nil then
      terms[i] = term_of_table(mapping, term)
    elseif type(term) == "string" then
      terms[i] = checked(mapping, term)
    else
      return refuse(mapping, "a term is a string or { name = \"desc\" }, not a " .. type(term))
    end
  end
  return terms
end

local suffixes = { [""] = false, ["nulls first"] = "first", ["nulls last"] = "last" }

-- Longer than any that is meant: data shall not decide how long it takes to read one.
local LONGEST = 1000

-- "author.name desc nulls last" -> path, true, "last"
local function parse(mapping, term)
  if #term > LONGEST then return refuse(mapping, "a term of more than " .. LONGEST .. " bytes") end
  local path, rest = term:match("^%s*(%S+)%s*(.-)%s*$")
  if not path then return refuse(mapping, "a term without a name") end
  rest = rest:lower():gsub("%s+", " ")
  local direction, nulls = rest:match("^(%a*) ?(.*)$")
  if direction == "nulls" then direction, nulls = "", rest end
  local suffix = suffixes[nulls]
  if suffix == nil or direction ~= "" and direction ~= "asc" and direction ~= "desc" then
    return refuse(mapping, errors.quote(term) .. " is not understood: write \"name\", \"name desc\" or "
      .. "\"name asc nulls first\"")
  end
  return path, direction == "desc", suffix or nil
end

local function step(to, scope, name, nested)
  local view = resolve.view(scope.mapping, name, "order_by", nested)
  if view.kind ~= "many_to_one" and view.kind ~= "one_to_one" then
    return resolve.refuse("validation", scope.mapping, name, "order_by", "only to-one relations lead on to "
      .. "other properties")
  end
  return to:child(scope, view)
end

---Refuses a column of a type that one of the two databases has no order for.
---@param mapping table
---@param name string as it was named
---@param column table
function order.check(mapping, name, column)
  if column.type == "json" or column.type == "array" then
    return resolve.refuse("validation", mapping, name, "order_by", "a property of type " .. column.type
      .. " has no order")
  end
end

local function check(mapping, view, name)
  if not (view.column or view.kind == "many_to_one" or view.kind == "one_to_one") then
    return resolve.refuse("validation", mapping, view.name, "order_by", "this property has no column to sort by")
  end
  if view.column then return order.check(mapping, name, view.column) end
end

order.parse = parse

local function append(sorted, to, term, root)
  local path, descending, nulls = parse(root.mapping, term)
  local scope, name = root, path
  local nested = false
  for relation, rest in path:gmatch("([^.]*)%.()") do
    local view = resolve.view(scope.mapping, relation, "order_by", nested)
    if view.embedded then break end
    scope, name = step(to, scope, relation, nested), path:sub(rest)
    nested = true
  end
  check(scope.mapping, resolve.named(scope.mapping, name, "order_by", nested), name)
  local columns, owner = to:columns(scope, name)
  for _, column in ipairs(columns) do
    sorted[#sorted + 1] = {
      name = path .. ":" .. (column.name or column.property), column = column, scope = owner,
      nullable = column.nullable or column.json ~= nil or owner ~= root or root.outer, descending = descending,
      nulls = nulls or (descending and "first" or "last"), asked = nulls ~= nil,
    }
  end
end

---What a statement is sorted by, column by column: { name, column, scope, nullable, descending, nulls = "first" or
---"last", asked = whether the term says so }. Joins what the paths need.
---@param to heddle.Statement
---@param terms string[]
---@param scope? table that they speak of; the root when left out
---@return table[]
function order.columns(to, terms, scope)
  local sorted = {}
  for _, term in ipairs(terms) do append(sorted, to, term, scope or to.root) end
  return sorted
end

---One column of an order. SQLite takes NULLs for the smallest values, PostgreSQL for the greatest: where that is not
---what is wanted, it is said.
---@param to heddle.Statement
---@param each table as order.columns gives it
---@return string
function order.term(to, each)
  local is_usual = (each.nulls == "first") == ((to.driver == "sqlite") ~= each.descending)
  return to:operand(each.scope, each.column) .. (each.descending and " DESC" or "")
    .. ((each.asked or each.nullable and not is_usual) and " NULLS " .. each.nulls:upper() or "")
end

---What is sorted by as " ORDER BY ...", "" without columns.
---@param to heddle.Statement
---@param columns table[] as order.columns gives them
---@return string
function order.text(to, columns)
  if #columns == 0 then return "" end
  local terms = {}
  for i, each in ipairs(columns) do terms[i] = order.term(to, each) end
  return " ORDER BY " .. table.concat(terms, ", ")
end

---" ORDER BY ...", or "" without terms. Joins what the paths need.
---@param to heddle.Statement
---@param terms string[]
---@return string
function order.sql(to, terms)
  return order.text(to, order.columns(to, terms))
end

return order
