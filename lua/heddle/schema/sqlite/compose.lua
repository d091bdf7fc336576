--- A parsed CREATE TABLE (parse.lua) as text again, and names changed in it: whatever nobody touches stays as it was
--- written, conflict clauses and all that the schema model does not know.
local quote = require("heddle.quote")
local render = require("heddle.schema.render")
local tokens = require("heddle.schema.sqlite.tokens")

local compose = {}

local fold = tokens.fold

-- A comment at the end of a piece would swallow what follows.
local function line(text)
  return text:find("--", 1, true) and text .. "\n" or text
end

local function column_text(column)
  local parts = { quote.name(column.name) }
  if column.type ~= "" then parts[2] = column.type end
  for _, item in ipairs(column.items) do parts[#parts + 1] = line(item.text) end
  return column.text or table.concat(parts, " ")
end

---The text of a parsed table.
---@param parsed table `columns` may hold { text = } for what is rendered already
---@param name? string another one
---@return string
function compose.table(parsed, name)
  local lines = {}
  for i, column in ipairs(parsed.columns) do lines[i] = column_text(column) end
  for _, item in ipairs(parsed.constraints) do lines[#lines + 1] = line(item.text) end
  return "CREATE TABLE " .. quote.name(name or parsed.name) .. " (\n  " .. table.concat(lines, ",\n  ") .. "\n)"
    .. (parsed.options and " " .. parsed.options or "")
end

-- Names changed in a text --------------------------------------------------------------------------------------

-- Runs over the tokens inside parentheses; what `change(token, list, at)` gives stands in the token's place.
local function rewrite(text, change)
  local list, parts, at, depth = tokens.of(text), {}, 1, 0
  for i, token in ipairs(list or {}) do
    local put = depth > 0 and change(token, list, i)
    if put then
      parts[#parts + 1] = text:sub(at, token.first - 1) .. put
      at = token.last + 1
    end
    if token.kind == "op" and token.value == "(" then depth = depth + 1 end
    if token.kind == "op" and token.value == ")" then depth = depth - 1 end
  end
  return table.concat(parts) .. text:sub(at)
end

local function is_dot(token)
  return token ~= nil and token.kind == "op" and token.value == "."
end

local function is_name(token)
  return token ~= nil and (token.kind == "word" or token.kind == "quoted")
end

---The text without the table's own name in front of columns: it says nothing, and stands in the way of another name.
---@param text string
---@param own string
---@return string
function compose.unqualified(text, own)
  own = fold(own)
  return rewrite(text, function(token, list, i)
    local before = list[i - 1]
    if is_dot(token) and is_name(before) and fold(tokens.name(before)) == own then return "" end
    if is_name(token) and fold(tokens.name(token)) == own and is_dot(list[i + 1]) and not is_dot(before) then
      return ""
    end
  end)
end

-- Not functions, collations and types.
local function is_column(list, i)
  local before, behind = list[i - 1], list[i + 1]
  if behind and behind.kind == "op" and behind.value == "(" then return false end
  return not (before and before.kind == "word" and (before.value == "collate" or before.value == "as"))
end

---A text in which columns have other names.
---@param text string of a constraint
---@param names table<string, string> new name by the old one in lower case
---@return string
function compose.renamed(text, names)
  return rewrite(text, function(token, list, i)
    if not is_name(token) or not is_column(list, i) then return nil end
    local to = names[fold(tokens.name(token))]
    return to and quote.name(to)
  end)
end

---A text in which names in double quotes that no column has are the strings that SQLite has always taken them for;
---Heddle's connections take none for one, so that a name misspelt is an error.
---@param text string
---@param columns table<string, any> by name in lower case
---@return string
function compose.with_strings(text, columns)
  return rewrite(text, function(token, list, i)
    if token.kind ~= "quoted" or token.text:sub(1, 1) ~= '"' or columns[fold(token.value)] then return nil end
    if is_dot(list[i - 1]) or is_dot(list[i + 1]) or not is_column(list, i) then return nil end
    return quote.text(token.value)
  end)
end

-- What a foreign key is called and refers to may be the name of a column.
local function rename_foreign(item, names, own, renames)
  local target = fold(item.table)
  local to, columns = renames.tables[target], renames.columns[target]
  local is_touched = to ~= nil
  local function renamed(list, by_name)
    local made = {}
    for i, name in ipairs(list or {}) do
      made[i] = by_name and by_name[fold(name)] or name
      is_touched = is_touched or made[i] ~= name
    end
    return made
  end
  local made = { name = item.name, columns = renamed(item.columns or { own }, names), table = to or item.table,
    target_columns = renamed(item.target_columns, columns), on_delete = item.on_delete, on_update = item.on_update,
    deferrable = item.deferrable }
  if not is_touched then return end
  local text = render.foreign_key(made)
  item.text = item.columns and text or text:gsub("FOREIGN KEY %b() ", "", 1)
  item.columns, item.table, item.target_columns = item.columns and made.columns, made.table,
    item.target_columns and made.target_columns
end

---Changes names in a parsed table, in place.
---@param parsed table
---@param renames table { tables = { old = new }, columns = { table = { old = new } } }, old names in lower case
function compose.rename(parsed, renames)
  local names = renames.columns[fold(parsed.name)] or {}
  local function change(item, own)
    if item.kind == "foreign" then return rename_foreign(item, names, own, renames) end
    if next(names) then item.text = compose.renamed(item.text, names) end
  end
  for _, column in ipairs(parsed.columns) do
    for _, item in ipairs(column.items) do change(item, column.name) end
    column.name = names[fold(column.name)] or column.name
  end
  for _, item in ipairs(parsed.constraints) do change(item) end
  parsed.name = renames.tables[fold(parsed.name)] or parsed.name
end

return compose
