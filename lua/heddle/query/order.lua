--- ORDER BY of a query: properties of its sources, names of selected expressions, SQL of the program's own.
local condition = require("heddle.condition")
local derived = require("heddle.query.derived")
local errors = require("heddle.errors")
local level = require("heddle.query.level")
local order = require("heddle.order")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local suggest = require("heddle.suggest")

local query_order = {}

local function by_name(node)
  local items, names = {}, {}
  for _, item in ipairs(node.items) do
    if item.name then items[item.name], names[#names + 1] = item, item.name end
  end
  return items, names
end

-- NULLs stand where PostgreSQL puts them, unless the term says where.
local function named(made, node, item, descending, nulls)
  local texts = {}
  for i, name in ipairs(derived.names(item)) do
    order.check(node.root.mapping, name, item.columns[i])
    local is_text = made.driver == "sqlite" and item.columns[i].type == "decimal"
    texts[i] = quote.name(name) .. (is_text and " COLLATE hd_decimal" or "") .. (descending and " DESC" or "")
      .. " NULLS " .. (nulls or (descending and "first" or "last")):upper()
  end
  return table.concat(texts, ", ")
end

-- Whether a name means an item of the selection: an expression, what got a name of its own, or what the root has not.
local function is_item(item, root, path)
  return not item.source or item.name ~= item.path:match("[^.]+$")
    or item.source.mapping ~= root and not root.props[path]
end

local function refuse(node, path, names)
  return errors.raise("unknown_property", ("order_by of %s: a union is sorted by the names of its items, and %s is "
    .. "none%s"):format(node.mapping.name, errors.quote(path), suggest.hint(path, names)),
    resolve.fields(node.mapping, path))
end

-- Rows that are made one can only stand where what they have in common says.
local function check_selected(node, source, path)
  for _, item in ipairs(node.items) do
    if item.source == source and item.path == path then return end
  end
  resolve.refuse("validation", source.mapping, path, "order_by", "the rows are distinct by what is selected, and this "
    .. "is not: select it")
end

local function term_sql(made, node, text, items, names, is_entity)
  local root = node.root.mapping
  local path, descending, nulls = order.parse(root, text)
  local item = not is_entity and items[path]
  if #node.parts > 0 and not is_entity then
    return item and named(made, node, item, descending, nulls) or refuse(node, path, names)
  end
  if item and is_item(item, root, path) then return named(made, node, item, descending, nulls) end
  local source, rest = level.split(node.level, path, "order_by")
  if node.distinct and not is_entity then check_selected(node, source, rest) end
  local columns = order.columns(made, { rest .. text:match("^%s*%S+(.*)$") }, source.scope)
  local texts = {}
  for i, column in ipairs(columns) do texts[i] = order.term(made, column) end
  return table.concat(texts, ", ")
end

---The terms of a node's order; nil without any.
---@param made heddle.Statement
---@param node table
---@param is_entity boolean|nil names of items mean nothing, since entities come out
---@return string|nil
function query_order.terms(made, node, is_entity)
  local items, names = by_name(node)
  local texts = {}
  for i, each in ipairs(node.orders) do
    if each.at then
      made.at = each.at
      texts[i] = condition.raw_text(made, node.root.scope)
    else
      texts[i] = term_sql(made, node, each.term, items, names, is_entity)
    end
  end
  return #texts > 0 and table.concat(texts, ", ") or nil
end

return query_order
