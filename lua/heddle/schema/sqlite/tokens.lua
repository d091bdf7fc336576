--- SQL of SQLite in tokens, and the form in which two texts of one expression are the same.
---
---     token = { kind = "word"|"quoted"|"string"|"number"|"blob"|"op", text, value, first, last }
---
--- `value` is the word in lower case, the name inside the quotes, or the string. White space and comments are none.
local quote = require("heddle.quote")

local tokens = {}

-- What stands in an expression as itself: as a name it needs quotes.
local reserved = {}
for word in ([[add all alter and as autoincrement between case check collate commit constraint create default deferrable
  delete distinct drop else escape exists foreign from group having in index insert into is isnull join limit not
  notnull null on or order primary references returning select set table then to transaction union unique update using
  values when where current_date current_time current_timestamp true false like glob regexp match cast over filter
  raise if]]):gmatch("%S+") do
  reserved[word] = true
end

-- ASCII letters alone, as SQLite folds names; string.lower may obey a locale.
local function fold(text)
  return (text:gsub("[A-Z]", string.lower))
end
tokens.fold = fold

local doubled = {
  ["'"] = { kind = "string", pair = "''", close = "'" }, ['"'] = { kind = "quoted", pair = '""', close = '"' },
  ["`"] = { kind = "quoted", pair = "``", close = "`" },
}

local function read_quoted(sql, at, made)
  local mark = sql:sub(at, at)
  local how, from = doubled[mark], at + 1
  while true do
    local stop = sql:find(mark, from, true)
    if not stop then return nil end
    if sql:sub(stop + 1, stop + 1) ~= mark then
      made.kind, made.value = how.kind, sql:sub(at + 1, stop - 1):gsub(how.pair, how.close)
      return stop
    end
    from = stop + 2
  end
end

local function read_bracket(sql, at, made)
  local stop = sql:find("]", at, true)
  if stop then made.kind, made.value = "quoted", sql:sub(at + 1, stop - 1) end
  return stop
end

local function read_number(sql, at, made)
  local _, stop = sql:find("^0[xX]%x+", at)
  if not stop then
    _, stop = sql:find("^%d*%.?%d*", at)
    local _, exponent = sql:find("^[eE][+-]?%d+", stop + 1)
    stop = exponent or stop
  end
  made.kind, made.value = "number", fold(sql:sub(at, stop))
  return stop
end

local function read_word(sql, at, made)
  local _, blob = sql:find("^[xX]'%x*'", at)
  if blob then
    made.kind, made.value = "blob", fold(sql:sub(at, blob))
    return blob
  end
  local _, stop = sql:find("^[%w_$\128-\255]+", at)
  made.kind, made.value = "word", fold(sql:sub(at, stop))
  return stop
end

local doubles = {}
for pair in ("|| -> << >> <= >= == != <>"):gmatch("%S+") do doubles[pair] = true end

local function read_operator(sql, at, made)
  local _, stop = sql:find("^%->>", at)
  stop = stop or doubles[sql:sub(at, at + 1)] and at + 1 or at
  made.kind, made.value = "op", sql:sub(at, stop)
  return stop
end

-- Behind white space and comments.
local function skip(sql, at)
  while true do
    local begun = at
    at = sql:match("^[ \t\n\f\r]*()", at)
    if sql:sub(at, at + 1) == "--" then
      at = (sql:find("\n", at, true) or #sql) + 1
    elseif sql:sub(at, at + 1) == "/*" then
      local _, stop = sql:find("*/", at + 2, true)
      at = (stop or #sql) + 1
    end
    if at == begun then return at end
  end
end

local function read(sql, at, made)
  local mark = sql:sub(at, at)
  if doubled[mark] then return read_quoted(sql, at, made) end
  if mark == "[" then return read_bracket(sql, at, made) end
  if sql:find("^%.?%d", at) then return read_number(sql, at, made) end
  if sql:find("^[%a_\128-\255]", at) then return read_word(sql, at, made) end
  return read_operator(sql, at, made)
end

---Cuts a text into tokens; nil when something in quotes never ends.
---
---Usage: `tokens.of('a >= "b"')[2].value` is ">="
---@param sql string
---@return table[]|nil
function tokens.of(sql)
  local list, at = {}, skip(sql, 1)
  while at <= #sql do
    local made = { first = at }
    local stop = read(sql, at, made)
    if not stop then return nil end
    made.last, made.text = stop, sql:sub(at, stop)
    list[#list + 1] = made
    at = skip(sql, stop + 1)
  end
  return list
end

---Whether a token can be a name, or part of a type.
---@param token table|nil
---@return boolean
function tokens.is_name(token)
  return token ~= nil and (token.kind == "word" or token.kind == "quoted" or token.kind == "string")
end

---The name that a token stands for, quotes off and letters as they are.
---@param token table
---@return string
function tokens.name(token)
  return token.kind == "word" and token.text or token.value
end

-- One form -----------------------------------------------------------------------------------------------------

local function canonical(token)
  if token.kind == "string" then return quote.text(token.value) end
  if token.kind ~= "quoted" then
    if token.value == "==" then return "=" end
    return token.value == "!=" and "<>" or token.value
  end
  local name = fold(token.value)
  if name:find("^[%a_][%w_]*$") and not reserved[name] then return name end
  return quote.name(name)
end

local closers = { [")"] = true, [","] = true, ["."] = true }

-- A space between two tokens: not around dots and inside parentheses, nor behind a function's name.
local function is_apart(before, token)
  if closers[token.value] and token.kind == "op" then return false end
  if before.kind == "op" and (before.value == "(" or before.value == ".") then return false end
  if token.kind == "op" and token.value == "(" then
    return not (before.kind == "word" and (not reserved[before.value] or before.value == "cast"))
  end
  return true
end

---The text of tokens in their one form: names unquoted where they can be, all but strings in lower case, a space where
---one belongs, the table's own name in front of its columns left out.
---
---Usage: `tokens.text(tokens.of('LOWER( "Name" )'))` is "lower(name)"
---@param list table[]
---@param first? integer
---@param last? integer
---@param own? string the table's name
---@return string
function tokens.text(list, first, last, own)
  local parts, before = {}, nil
  local at, stop = first or 1, last or #list
  own = own and fold(own)
  while at <= stop do
    local token, dot = list[at], list[at + 1]
    if own and at < stop and dot.value == "." and tokens.is_name(token) and fold(tokens.name(token)) == own
      and not (before and before.value == ".") then
      at = at + 2
      token = list[at]
    end
    if before and is_apart(before, token) then parts[#parts + 1] = " " end
    parts[#parts + 1] = canonical(token)
    before, at = token, at + 1
  end
  return table.concat(parts)
end

---Where the parenthesis that opens at `at` is closed.
---@param list table[]
---@param at integer
---@return integer|nil
function tokens.closing(list, at)
  local depth = 0
  for i = at, #list do
    if list[i].kind == "op" then
      if list[i].value == "(" then depth = depth + 1 end
      if list[i].value == ")" then
        depth = depth - 1
        if depth == 0 then return i end
      end
    end
  end
end

---The same range without the parentheses that enclose all of it.
---@param list table[]
---@param first integer
---@param last integer
---@return integer first
---@return integer last
function tokens.bare(list, first, last)
  while first < last and list[first].value == "(" and list[first].kind == "op"
    and tokens.closing(list, first) == last do
    first, last = first + 1, last - 1
  end
  return first, last
end

return tokens
