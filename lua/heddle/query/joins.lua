--- The joins of a query. What is joined together with what its condition reaches, or through a pivot table, is one
--- table to the rest: `LEFT JOIN (books AS b LEFT JOIN authors AS e1 ON ...) ON ...`.
local condition = require("heddle.condition")
local family = require("heddle.family")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")

local joins = {}

-- SQLite joins 64 tables at most.
local MOST_JOINS = 60

-- "b"."author_id" = "a"."id" for each column of the key that one side has of the other.
local function tie(made, terms, scope, columns, outer, outer_columns)
  for i, column in ipairs(columns) do
    terms[#terms + 1] = made:column(scope, column) .. " = " .. made:column(outer, outer_columns[i])
  end
end

local function tie_by_key(made, terms, source)
  local fk, inverse = resolve.foreign_key(source.parent.mapping, source.view)
  local own, other = fk.columns, fk.target_columns
  if inverse then own, other = other, own end
  tie(made, terms, source.scope, other, source.parent.scope, own)
end

local function targets(view)
  local list = {}
  for i, column in ipairs(view.columns) do list[i] = column.foreign_key.target_columns[i] end
  return list
end

-- The pivot table stands before the target: the text of its source, and what ties the target to it.
local function tie_by_pivot(made, terms, source)
  local map = source.view.pivot.mapping
  local near, far = map.props.owner, map.props.target
  if not source.view.prop.owner then near, far = far, near end
  local scope = { mapping = map, alias = made:next_alias(), level = source.scope.level, children = {} }
  source.pair.scope = scope
  made.reads[#made.reads + 1] = map
  tie(made, terms, scope, near.columns, source.parent.scope, targets(near))
  local inner = {}
  tie(made, inner, source.scope, targets(far), scope, far.columns)
  return quote.table(map) .. " AS " .. scope.alias, table.concat(inner, " AND ")
end

local function open(made, level, source)
  local block = { root = level.root, joins = {}, terms = {} }
  source.scope = { mapping = source.mapping, alias = quote.name(source.alias), level = block, children = {},
    outer = source.is_outer }
  if not source.mapping.derived then made.reads[#made.reads + 1] = source.mapping end
  return block
end

-- What has to hold of the joined row itself.
local function add_conditions(made, level, terms, source)
  local before = #terms
  terms[#terms + 1] = family.condition(source.mapping, source.scope.alias .. ".")
  made.at = source.on_at
  local on = condition.at(made, level.root)
  if on ~= "1 = 1" then terms[#terms + 1] = on end
  return #terms > before
end

local function check_count(made, level)
  if #level.joins < MOST_JOINS then return end
  resolve.refuse("validation", made.mapping, nil, "a query", "it joins more than " .. MOST_JOINS .. " tables")
end

local function one(made, level, source, source_text)
  check_count(made, level)
  local text = source_text(made, source) or quote.table(source.mapping)
  local block, terms, word = open(made, level, source), {}, source.how == "left" and " LEFT JOIN " or " JOIN "
  text = text .. " AS " .. source.scope.alias
  local pair, tied
  if source.pair then
    pair, tied = tie_by_pivot(made, terms, source)
  elseif source.view then
    tie_by_key(made, terms, source)
  end
  local ties = table.concat(terms, " AND ")
  local is_bound = add_conditions(made, level, terms, source)
  if pair and #block.joins == 0 and not is_bound then
    text = pair .. " ON " .. ties .. word .. text .. " ON " .. tied
  else
    if pair then text = pair .. " JOIN " .. text .. " ON " .. tied end
    if pair or #block.joins > 0 then text = "(" .. text .. table.concat(block.joins) .. ")" end
    text = text .. " ON " .. (#terms > 0 and table.concat(terms, " AND ") or "1 = 1")
  end
  -- What is reached from it later stands behind it.
  block.joins = level.joins
  level.joins[#level.joins + 1] = word .. text
end

---Adds the joins of a node to its level.
---@param made heddle.Statement
---@param level heddle.Level
---@param node table
---@param source_text fun(made: heddle.Statement, source: table): string|nil
function joins.write(made, level, node, source_text)
  for _, source in ipairs(node.joins) do one(made, level, source, source_text) end
end

return joins
