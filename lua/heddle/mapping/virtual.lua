--- Entities that are read from an expression: `expression = "SELECT ..."` alone is written where the table's name would
--- stand (a virtual entity), with `table` it is the view of that name, which the schema makes.
---
--- Both are read only, and nobody knows which tables the expression reads: whatever is pending is flushed before.
local placeholders = require("heddle.placeholders")

local virtual = {}

-- The SELECT as it can stand in parentheses. It takes no values, so a question mark is one of the database's operators.
local function select_of(context, map, text)
  local pieces = placeholders.split(text, context.driver)
  if #pieces > 1 and context.driver == "sqlite" then
    context.fail(map, nil, "option 'expression': it takes no values, and has a placeholder")
  end
  text = table.concat(pieces, "?"):gsub("[%s;]+$", "")
  if not text:find("^%s*[%w(]") then context.fail(map, nil, "option 'expression': a SELECT is expected") end
  return text
end

---Notes what an entity with an expression is read from: `map.source`, or for a view its SELECT, `map.view_sql`.
---@param context table
---@param map table
function virtual.prepare(context, map)
  local made = map.meta
  if not made.expression then return end
  if made.root then context.fail(map, nil, "option 'expression': entities that share a table have none") end
  local text = select_of(context, map, made.expression)
  map.expression = true
  if made.table then
    map.view_sql = text
  else
    -- A comment at its end would take the parenthesis with it.
    map.source = "(" .. text .. (text:find("--", 1, true) and "\n)" or ")")
  end
end

---Refuses a relation that would be a foreign key to no table, or need a table of pairs.
---@param context table
---@param map table
---@param view table
function virtual.check_relation(context, map, view)
  local owns = view.kind == "many_to_one" or view.kind == "one_to_one" and not view.prop.mapped_by
  if view.target.expression and owns then
    context.fail(map, view.name, ("its target %s is read from an expression, which no foreign key can refer to; "
      .. "read it by its own relation to this entity"):format(view.target.name))
  end
  if view.kind == "many_to_many" and (map.expression or view.target.expression) then
    context.fail(map, view.name, "an entity that is read from an expression has no table of pairs")
  end
end

return virtual
