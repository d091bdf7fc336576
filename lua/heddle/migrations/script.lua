--- A script is cut into its statements, since a database takes them one by one.
---
--- A semicolon ends a statement, unless it stands in a string, a name, a comment, a dollar quote, in parentheses
--- (rules), or in a body: BEGIN ATOMIC .. END of a function on PostgreSQL, a trigger's BEGIN .. END on SQLite, which is
--- over where SQLite itself says so: at an END between two semicolons.
local placeholders = require("heddle.placeholders")

local script = {}

local MARKS = "['\"%-/$`%[;()%a_\128-\255]"

local function is_comment(sql, at, mark)
  return mark == "-" and sql:sub(at + 1, at + 1) == "-" or mark == "/" and sql:sub(at + 1, at + 1) == "*"
end

-- What is known of the statement that is being read.
local function fresh()
  return { words = {}, parens = 0, depth = 0 }
end

local function is_trigger(words)
  return words[1] == "create" and (words[2] == "trigger"
    or (words[2] == "temp" or words[2] == "temporary") and words[3] == "trigger")
end

-- One of PostgreSQL's routines, whose body may be SQL as it stands.
local function is_routine(words)
  if words[1] ~= "create" then return false end
  for i = 2, 4 do
    if words[i] == "function" or words[i] == "procedure" then return true end
  end
  return false
end

local function count_body(state, word)
  if word == "atomic" and state.last == "begin" then
    state.depth = 1
  elseif state.depth > 0 and word == "case" then
    state.depth = state.depth + 1
  elseif state.depth > 0 and word == "end" then
    state.depth = state.depth - 1
  end
end

local function read_word(state, word, postgres)
  word = word:lower()
  if #state.words < 4 then state.words[#state.words + 1] = word end
  if postgres then
    if is_routine(state.words) then count_body(state, word) end
  elseif word == "end" then
    state.is_end = state.last == ";"
  end
  state.last = word
end

-- Whether the semicolon ends the statement.
local function is_end(state, postgres)
  if postgres then return state.parens <= 0 and state.depth == 0 end
  return not is_trigger(state.words) or state.last == "end" and state.is_end == true
end

-- Line numbers of places in rising order.
local function line_counter(sql)
  local line, at = 1, 1
  return function(place)
    while true do
      local stop = sql:find("\n", at, true)
      if not stop or stop >= place then return line end
      line, at = line + 1, stop + 1
    end
  end
end

local function take(list, sql, first, stop, line_of)
  while sql:find("^%s", stop) do stop = stop - 1 end
  list[#list + 1] = { text = sql:sub(first, stop), line = line_of(first) }
end

---The statements of a script, without what stands between them, each with the line that it begins at.
---
---Usage: `for _, statement in ipairs(script.split(text, "sqlite")) do print(statement.line, statement.text) end`
---@param sql string
---@param driver "postgres"|"sqlite"
---@return { text: string, line: integer }[]
function script.split(sql, driver)
  local postgres = driver == "postgres"
  local list, line_of = {}, line_counter(sql)
  local state, first, at = fresh(), nil, 1
  while true do
    local place = sql:find(first and MARKS or "%S", at)
    if not place then break end
    local mark = sql:sub(place, place)
    if is_comment(sql, place, mark) then
      at = placeholders.skip(sql, place, mark, postgres)
    elseif mark == ";" and (not first or is_end(state, postgres)) then
      if first then take(list, sql, first, place - 1, line_of) end
      state, first, at = fresh(), nil, place + 1
    else
      first = first or place
      local word = sql:match("^[%a_\128-\255][%w_$\128-\255]*", place)
      if word then
        read_word(state, word, postgres)
        at = place + #word
      elseif mark:find("['\"%-/$`%[]") then
        at, state.last = placeholders.skip(sql, place, mark, postgres), mark
      else
        if mark == "(" then state.parens = state.parens + 1 end
        if mark == ")" then state.parens = state.parens - 1 end
        at, state.last = place + 1, mark
      end
    end
  end
  if first then take(list, sql, first, #sql, line_of) end
  return list
end

local control = {
  begin = true, commit = true, abort = true, ["end"] = true, rollback = true, start = true,
}

---What of a statement a migration cannot hold, nil when there is nothing: it would end the transaction around it, or is
---meant for another program.
---@param text string
---@return string|nil why
function script.problem(text)
  if text:find("^\\") then
    return "'" .. text:match("^\\[^%s]*") .. "' is a command of psql's, not SQL"
  end
  local first, second = text:match("^(%a+)%s*(%a*)")
  first, second = (first or ""):lower(), (second or ""):lower()
  if first == "rollback" and text:lower():find("%sto%s") then return nil end
  if control[first] or first == "prepare" and second == "transaction" then
    return ("'%s' is the transaction's, and a migration has one of its own: take it out (with transaction = false "
      .. "m:em():transactional(fn) opens one)"):format(first:upper())
  end
  if first == "copy" and text:lower():find("%sfrom%s+stdin") then
    return "COPY FROM stdin reads rows from behind the statement, and a migration has none there: write them as "
      .. "INSERT (pg_dump --inserts)"
  end
end

return script
