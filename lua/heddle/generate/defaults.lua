--- The `default` or `default_sql` behind a column's default: a value of Lua where Heddle would write the same text for
--- it, else the text.
local defaults = {}

local function unquoted(text)
  local inner = text:match("^'(.*)'$")
  if not inner then return nil end
  -- A quote that is not doubled ends the literal: there is more behind it.
  if inner:gsub("''", ""):find("'", 1, true) then return nil end
  return (inner:gsub("''", "'"))
end

-- "'x'::text" is 'x', "(-1)" is -1, "'-1'::integer" is -1.
local function literal(text)
  text = text:match("^%((%-?[%d.]+)%)$") or text
  local bare = text:match("^(.*)::[%w_%. ]+$") or text:match("^(.*)::[%w_%. ]+%([%d,]+%)$") or text
  bare = bare:match("^%((%-?[%d.]+)%)$") or bare
  return unquoted(bare) or (bare:match("^%-?%d[%d.]*$") and bare) or nil, unquoted(bare) ~= nil
end

local integers = { smallint = true, integer = true, bigint = true }
local texts = { string = true, text = true, enum = true }

local function boolean(text)
  local lower = text:lower()
  if lower == "true" or text == "1" then return true end
  if lower == "false" or text == "0" then return false end
end

local function value_of(text, word)
  if word.type == "boolean" then return boolean(text) end
  local bare, is_quoted = literal(text)
  if not bare then return nil end
  if integers[word.type] then return bare:match("^%-?%d+$") and #bare < 16 and tonumber(bare) or nil end
  if word.type == "double" then return bare:match("^%-?%d+%.?%d*$") and #bare < 16 and tonumber(bare) or nil end
  if word.type == "decimal" then return bare:match("^%-?%d+%.?%d*$") and bare or nil end
  if texts[word.type] and is_quoted then return bare end
end

---What a property says of its column's default: `{ default = }`, `{ default_sql = }`, or nothing.
---
---Usage: `defaults.of("'x'::text", { type = "text" }, "postgres").default` is "x"
---@param text string|nil the column's default
---@param word table as types.of gives it
---@param driver "postgres"|"sqlite"
---@return table
function defaults.of(text, word, driver)
  if not text or text:upper() == "NULL" then return {} end
  local value = value_of(text, word)
  -- A decimal is text on SQLite, and padded.
  if value ~= nil and not (word.type == "decimal" and driver == "sqlite") then return { default = value } end
  if driver == "sqlite" then text = text:match("^%((.*)%)$") or text end
  return { default_sql = text }
end

return defaults
