--- What a statement makes: tables, views, types, so that `fresh` knows what migrations have left in a database.
local made = {}

local kinds = {
  table = "table", view = "view", type = "type", domain = "domain", sequence = "sequence", ["function"] = "function",
  procedure = "function",
}

-- What may stand between CREATE and the kind.
local passed = {
  ["or"] = true, replace = true, global = true, ["local"] = true, unlogged = true, virtual = true, recursive = true,
  materialized = true, foreign = true,
}

local closing = { ['"'] = '"', ["`"] = "`", ["["] = "]" }

-- One name at a place, and where it ends.
local function read_part(sql, at, driver)
  local mark = sql:sub(at, at)
  local close = closing[mark]
  if not close then
    local word = sql:match("^[%a_\128-\255][%w_$\128-\255]*", at)
    return word and (driver == "postgres" and word:lower() or word), at + #(word or "")
  end
  local stop = at + 1
  while true do
    stop = sql:find(close, stop, true)
    if not stop then return nil, at end
    if sql:sub(stop + 1, stop + 1) ~= close then break end
    stop = stop + 2
  end
  return (sql:sub(at + 1, stop - 1):gsub(close .. close, close)), stop + 1
end

local function read_name(sql, at, driver)
  local name, schema
  name, at = read_part(sql, at, driver)
  if name and sql:sub(at, at) == "." then
    schema = name
    name = read_part(sql, at + 1, driver)
  end
  return name and { name = name, schema = schema }
end

-- The next word in lower case, and where what follows it begins.
local function next_word(sql, at)
  local word, rest = sql:match("^%s*(%a+)%s*()", at)
  return word and word:lower(), rest or at
end

local function skip_exists(sql, at)
  local rest = sql:lower():match("^if%s+not%s+exists%s+()", at)
  return rest or at
end

local function read_create(sql, at, driver)
  local word
  repeat word, at = next_word(sql, at) until not passed[word or ""]
  local kind = kinds[word or ""]
  if not kind then return nil end
  local found = read_name(sql, skip_exists(sql, at), driver)
  if found then found.kind = kind end
  return found
end

local function read_rename(sql, driver)
  local at = sql:lower():match("^alter%s+table%s+if%s+exists%s+()") or sql:lower():match("^alter%s+table%s+()")
  local from = at and read_name(sql, at, driver)
  local to = from and sql:lower():match("%srename%s+to%s+()")
  to = to and read_name(sql, to, driver)
  return to and { kind = "table", name = to.name, schema = from.schema }
end

---What a statement makes, nil for most.
---@param sql string
---@param driver "postgres"|"sqlite"
---@return { kind: string, name: string, schema: string|nil }|nil
function made.by(sql, driver)
  local word, at = next_word(sql, 1)
  if word == "create" then return read_create(sql, at, driver) end
  if word == "alter" then return read_rename(sql, driver) end
end

return made
