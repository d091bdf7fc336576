--- The text of a query that `query/read.lua` has read: nodes become levels of a statement.
---
--- The order of the calls is that of reading, since placeholders are numbered by it. A *core* is what stands before the
--- parts of a union; it is closed when everything that may join something in it has been written.
local condition = require("heddle.condition")
local derived = require("heddle.query.derived")
local item_sql = require("heddle.query.item_sql")
local joins = require("heddle.query.joins")
local locks = require("heddle.locks")
local order = require("heddle.query.order")
local quote = require("heddle.quote")

local sql = {}

local BIGINT = { type = "bigint" }

local write

-- Pieces -----------------------------------------------------------------------------------------------------------

local function with_sql(made, node)
  if #node.ctes == 0 then return "" end
  local texts, recursive = {}, false
  for i, cte in ipairs(node.ctes) do
    local names = {}
    for _, item in ipairs(cte.node.items) do
      for _, name in ipairs(derived.names(item)) do names[#names + 1] = quote.name(name) end
    end
    recursive = recursive or cte.recursive
    texts[i] = quote.name(cte.name) .. " (" .. table.concat(names, ", ") .. ") AS (" .. write(made, cte.node) .. ")"
  end
  return "WITH " .. (recursive and "RECURSIVE " or "") .. table.concat(texts, ", ") .. " "
end

-- The text of a source that is no table.
local function source_text(made, source)
  if source.cte then return quote.name(source.cte.name) end
  return source.node and "(" .. write(made, source.node) .. ")" or nil
end

local function alias_of(source)
  return source.alias == "e0" and "e0" or quote.name(source.alias)
end

local function named_list(made, node)
  local texts = {}
  for _, item in ipairs(node.items) do item_sql.add(texts, made, item, write) end
  return (node.distinct and "DISTINCT " or "") .. table.concat(texts, ", ")
end

local function one_list() return "1" end

local function key_list(_, node)
  return quote.columns(node.root.mapping.key, alias_of(node.root) .. ".")
end

local function condition_sql(made, level, at)
  made.at = at
  return condition.at(made, level.root)
end

local function groups_sql(made, node)
  local texts = {}
  for _, group in ipairs(node.groups) do
    if group.at then
      made.at = group.at
      texts[#texts + 1] = condition.raw_text(made, node.root.scope)
    end
    for _, column in ipairs(group.columns or {}) do texts[#texts + 1] = made:operand(group.source.scope, column) end
  end
  return #texts > 0 and " GROUP BY " .. table.concat(texts, ", ") or ""
end

local function limit_sql(made, node)
  local text = ""
  if node.limit then
    text = " LIMIT " .. made:placeholder(BIGINT)
  elseif node.offset and made.driver == "sqlite" then
    text = " LIMIT -1"
  end
  return node.offset and text .. " OFFSET " .. made:placeholder(BIGINT) or text
end

local function order_sql(made, node, is_entity)
  local terms = order.terms(made, node, is_entity)
  return terms and " ORDER BY " .. terms or ""
end

-- Opens the level of a core; gives what closes it, with another list than the one that was written where it is given.
local function core(made, node, list)
  local level = made:inner(node.root.mapping, alias_of(node.root), source_text(made, node.root))
  node.root.scope = level.root
  joins.write(made, level, node, source_text)
  local selected = list(made, node)
  local where = condition_sql(made, level, node.where_at)
  local groups = groups_sql(made, node)
  local having = node.having_at and " HAVING " .. condition_sql(made, level, node.having_at) or ""
  return function(other)
    return made:select(level, other or selected, where) .. groups .. having
  end
end

-- Parts of a union, from left to right on both databases, whatever binds more tightly elsewhere. SQLite takes no
-- parentheses around one.
local function part_sql(made, node, list)
  local text = write(made, node, list)
  local is_plain = #node.ctes == 0 and #node.parts == 0 and #node.orders == 0 and not node.limit and not node.offset
  if made.driver == "postgres" then return "(" .. text .. ")" end
  return is_plain and text or "SELECT * FROM (" .. text .. ")"
end

local function united(made, node, text, parts)
  for i, part in ipairs(node.parts) do
    if made.driver == "postgres" then text = "(" .. text .. ")" end
    text = text .. " " .. part.word .. " " .. parts[i]
  end
  return text
end

local function compound(made, node, list)
  local close, parts = core(made, node, list), {}
  for i, part in ipairs(node.parts) do
    parts[i] = part_sql(made, part.node, list ~= named_list and list or nil)
  end
  return function() return united(made, node, close(), parts) end
end

-- Queries ----------------------------------------------------------------------------------------------------------

---A query that gives rows.
---@param made heddle.Statement
---@param node table
---@param list? fun(made: heddle.Statement, node: table): string
---@return string
function write(made, node, list)
  local with = with_sql(made, node)
  local close = compound(made, node, list or named_list)
  local order_text = order_sql(made, node)
  local tail = limit_sql(made, node) .. locks.sql(made.driver, node.lock, node.root.scope.alias)
  return with .. close() .. order_text .. tail
end

sql.rows, sql.alias = write, alias_of

local function keys_of(node)
  local key = key_list(nil, node)
  return #node.root.mapping.key > 1 and "(" .. key .. ")" or key
end

-- Entities whose keys a union gives.
local function by_keys(made, node, columns)
  local with, close = with_sql(made, node), compound(made, node, key_list)
  local keys = close()
  local level = made:inner(node.root.mapping, alias_of(node.root))
  node.root.scope = level.root
  local tail = order_sql(made, node, true) .. limit_sql(made, node)
  return with .. made:select(level, columns or "count(*)", keys_of(node) .. " IN (" .. keys .. ")") .. tail
    .. locks.sql(made.driver, node.lock, node.root.scope.alias)
end

-- Entities of which a join finds several rows: each once, at the place of its first row.
local function ranked(made, node, columns)
  local with, close = with_sql(made, node), core(made, node, key_list)
  local terms = order.terms(made, node, true) or key_list(made, node)
  local alias, outer, inner, on = node.root.scope.alias, {}, {}, {}
  for i, column in ipairs(node.root.mapping.key) do
    local name = "k" .. i
    inner[i], outer[i] = alias .. "." .. quote.name(column.name) .. " AS " .. name, name
    on[i] = alias .. "." .. quote.name(column.name) .. " = hd_r." .. name
  end
  local keys = table.concat(outer, ", ")
  return with .. "SELECT " .. columns .. " FROM (SELECT " .. keys .. ", min(hd_n) AS hd_n FROM ("
    .. close(table.concat(inner, ", ") .. ", row_number() OVER (ORDER BY " .. terms .. ") AS hd_n")
    .. ") AS hd_k GROUP BY " .. keys .. " ORDER BY min(hd_n)" .. limit_sql(made, node) .. ") AS hd_r JOIN "
    .. quote.table(node.root.mapping) .. " AS " .. alias .. " ON " .. table.concat(on, " AND ") .. " ORDER BY hd_r.hd_n"
    .. locks.sql(made.driver, node.lock, alias)
end

local function has_many(node)
  for _, source in ipairs(node.joins) do
    if source.is_many then return true end
  end
  return false
end

---WITH and the condition of a write, in the level of its statement.
---@param made heddle.Statement
---@param node table
---@return string with
---@return string where
function sql.target(made, node)
  local with = with_sql(made, node)
  node.root.scope = made.root
  local text = condition_sql(made, made.level, node.where_at)
  if made:finds_first(text) then
    text = keys_of(node) .. " IN (" .. made:select(made.level, key_list(made, node), text) .. ")"
  elseif made.level.terms[1] then
    text = made.level.terms[1] .. (text == "1 = 1" and "" or " AND " .. text)
  end
  return with, text == "1 = 1" and "" or " WHERE " .. text
end

---A query that gives entities of its root, each once.
---@param columns table[] to read
---@return string
function sql.entities(made, node, columns)
  local list = quote.columns(columns, alias_of(node.root) .. ".")
  if #node.parts > 0 then return by_keys(made, node, list) end
  if has_many(node) and #node.root.mapping.key > 0 then return ranked(made, node, list) end
  local with, close = with_sql(made, node), core(made, node, function() return list end)
  local order_text = order_sql(made, node, true)
  return with .. close() .. order_text .. limit_sql(made, node)
    .. locks.sql(made.driver, node.lock, node.root.scope.alias)
end

-- Whether groups are all that counts of it: what is selected could not stand beside them.
local function is_bare(node)
  return node.is_whole and #node.parts == 0 and not node.distinct
end

---A query that gives the number of entities, or of rows where it does not select entities.
---@param is_entity boolean
---@return string
function sql.count(made, node, is_entity)
  if not is_entity then
    return "SELECT count(*) FROM (" .. write(made, node, is_bare(node) and one_list or nil) .. ") AS hd_c"
  end
  if #node.parts > 0 then return by_keys(made, node) end
  local with, close = with_sql(made, node), core(made, node, key_list)
  if not has_many(node) then return with .. close("count(*)") end
  return with .. "SELECT count(*) FROM (" .. close("DISTINCT " .. key_list(made, node)) .. ") AS hd_c"
end

return sql
