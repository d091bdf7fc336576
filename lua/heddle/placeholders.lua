---`?` in raw SQL becomes the driver's own placeholder: `$1` on PostgreSQL, `?1` on SQLite.
--
-- `??` is a literal `?` (PostgreSQL has operators of that name). Strings, quoted identifiers, comments and
-- dollar quotes are left alone, by each database's own rules: PostgreSQL nests block comments and has
-- `E'\''` and `$tag$`, SQLite quotes identifiers with backticks and brackets too.

local placeholders = {}

-- Each skipper takes the text and where the token begins, and gives the position behind it. What is never
-- closed runs to the end of the text: the database will say so better than we can.

local function skip_quoted(sql, from, close)
  local at = from + 1
  while true do
    local stop = sql:find(close, at, true)
    if not stop then return #sql + 1 end
    -- A doubled quote goes on, and ']' has no doubled form.
    if close == "]" or sql:sub(stop + 1, stop + 1) ~= close then return stop + 1 end
    at = stop + 2
  end
end

local function skip_escaped(sql, from)
  local at = from + 1
  while true do
    local stop = sql:find("['\\]", at)
    if not stop then return #sql + 1 end
    if sql:sub(stop, stop) == "\\" or sql:sub(stop + 1, stop + 1) == "'" then
      at = stop + 2
    else
      return stop + 1
    end
  end
end

local function is_word(sql, at)
  return at > 0 and sql:find("^[%w_$\128-\255]", at) ~= nil
end

local function skip_string(sql, from, postgres)
  local escaped = postgres and sql:find("^[eE]", from - 1) and from > 1 and not is_word(sql, from - 2)
  if escaped then return skip_escaped(sql, from) end
  return skip_quoted(sql, from, "'")
end

local function skip_comment(sql, from, postgres)
  if not postgres then
    local _, stop = sql:find("*/", from + 2, true)
    return (stop or #sql) + 1
  end
  local depth, at = 1, from + 2
  while depth > 0 do
    local open, close = sql:find("/*", at, true), sql:find("*/", at, true)
    if not close then return #sql + 1 end
    if open and open < close then
      depth, at = depth + 1, open + 2
    else
      depth, at = depth - 1, close + 2
    end
  end
  return at
end

local function skip_dollar(sql, from)
  local tag = not is_word(sql, from - 1)
    and (sql:match("^%$%$", from) or sql:match("^%$[%a_\128-\255][%w_\128-\255]*%$", from))
  if not tag then return from + 1 end
  local _, stop = sql:find(tag, from + #tag, true)
  return (stop or #sql) + 1
end

local function skip(sql, from, mark, postgres)
  if mark == "'" then return skip_string(sql, from, postgres) end
  if mark == '"' then return skip_quoted(sql, from, '"') end
  if mark == "-" then
    if sql:sub(from + 1, from + 1) ~= "-" then return from + 1 end
    return (sql:find(postgres and "[\r\n]" or "\n", from) or #sql) + 1
  end
  if mark == "/" then
    if sql:sub(from + 1, from + 1) ~= "*" then return from + 1 end
    return skip_comment(sql, from, postgres)
  end
  if mark == "$" then return postgres and skip_dollar(sql, from) or from + 1 end
  if postgres then return from + 1 end
  return skip_quoted(sql, from, mark == "[" and "]" or mark)
end

-- Behind the string, name, comment or dollar quote that begins at `from` with `mark`, one of '"-/$`[.
placeholders.skip = skip

---Cuts a text at its placeholders: one piece more than it takes values. Usage:
---`placeholders.split("a = ? or b", "postgres")` gives { "a = ", " or b" }
---@param sql string
---@param driver "postgres"|"sqlite"
---@return string[] pieces
function placeholders.split(sql, driver)
  local postgres = driver == "postgres"
  local pieces, piece, copied, at = {}, "", 1, 1
  while true do
    at = sql:find("[?'\"%-/$`%[]", at)
    if not at then break end
    local mark = sql:sub(at, at)
    if mark ~= "?" then
      at = skip(sql, at, mark, postgres)
    else
      piece = piece .. sql:sub(copied, at - 1)
      if sql:sub(at + 1, at + 1) == "?" then
        piece = piece .. "?"
        at = at + 2
      else
        pieces[#pieces + 1], piece = piece, ""
        at = at + 1
      end
      copied = at
    end
  end
  pieces[#pieces + 1] = piece .. sql:sub(copied)
  return pieces
end

---Rewrites the placeholders of one text. Usage:
---`local text, count = placeholders.rewrite("select * from t where id = ?", "postgres")`
---@param sql string
---@param driver "postgres"|"sqlite"
---@param first integer? number of the first placeholder, 1 when left out
---@return string text
---@return integer count how many values it takes
function placeholders.rewrite(sql, driver, first)
  local prefix, before = driver == "postgres" and "$" or "?", (first or 1) - 1
  local pieces = placeholders.split(sql, driver)
  local parts = { pieces[1] }
  for i = 2, #pieces do parts[i] = prefix .. before + i - 1 .. pieces[i] end
  return table.concat(parts), #pieces - 1
end

---Gives a table alias another name, where it stands as a word of its own. Usage:
---`placeholders.renamed("e0.name <> 'e0'", "postgres", "e0", "e2")` gives "e2.name <> 'e0'"
---@param sql string
---@param driver "postgres"|"sqlite"
---@param alias string
---@param new string
---@return string text
function placeholders.renamed(sql, driver, alias, new)
  local text, copied, at = "", 1, 1
  local marks = "[" .. alias:sub(1, 1) .. "'\"%-/$`%[]"
  while true do
    at = sql:find(marks, at)
    if not at then break end
    local mark, stop = sql:sub(at, at), at + #alias
    if mark ~= alias:sub(1, 1) then
      at = skip(sql, at, mark, driver == "postgres")
    elseif sql:sub(at, stop - 1) ~= alias or is_word(sql, at - 1) or is_word(sql, stop)
      or sql:sub(at - 1, at - 1) == "." then
      at = at + 1
    else
      text, copied, at = text .. sql:sub(copied, at - 1) .. new, stop, stop
    end
  end
  return text .. sql:sub(copied)
end

return placeholders
