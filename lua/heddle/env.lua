--- Environment files, and configurations made of environment variables.
---
--- Lua cannot set a variable of its process, so what a file says is kept here and asked after `os.getenv`: a
--- variable that is set always wins, and of two files the one read first.
local errors = require("heddle.errors")
local options = require("heddle.options")
local url = require("heddle.url")

local env = {}

local values = {}

---A variable of the process, else of the files read so far. An empty one counts as not set.
---@param name string
---@return string|nil
function env.get(name)
  local value = os.getenv(name) or values[name]
  return value ~= "" and value or nil
end

local escapes = { n = "\n", r = "\r", t = "\t" }

-- One pass over the text: what an expansion brings in is not read again. Outside quotes a backslash is a
-- character like others, except before a dollar sign.
local function expand(text, known, quoted)
  local parts, at = {}, 1
  while at <= #text do
    local escaped = text:match(quoted and "^\\(.)" or "^\\(%$)", at)
    local name = text:match("^%${([%a_][%w_]*)}", at)
    if escaped then
      parts[#parts + 1], at = escapes[escaped] or escaped, at + 2
    elseif name then
      parts[#parts + 1] = os.getenv(name) or known[name] or values[name] or ""
      at = at + #name + 3
    else
      parts[#parts + 1], at = text:sub(at, at), at + 1
    end
  end
  return table.concat(parts)
end

-- The end of a quoted value that begins behind `at`; skips what a backslash protects.
local function find_quote(text, at, quote)
  if quote == "'" then return text:find("'", at, true) end
  while true do
    local found = text:find('[\\"]', at)
    if not found or text:sub(found, found) == '"' then return found end
    at = found + 2
  end
end

local function read_plain(text, known)
  return expand(text:gsub("^#.*$", ""):gsub("%s#.*$", ""):match("^(.-)%s*$"), known, false)
end

-- Reads the value that begins at `at`; gives it and where the next line begins, or nil.
local function read_value(text, at, known)
  local quote = text:match("^['\"]", at)
  local finish = text:find("\n", at, true) or #text + 1
  if not quote then return read_plain(text:sub(at, finish - 1), known), finish + 1 end
  local close = find_quote(text, at + 1, quote)
  if not close then return nil end
  local value = text:sub(at + 1, close - 1)
  finish = text:find("\n", close, true) or #text + 1
  if not text:sub(close + 1, finish - 1):match("^%s*$") and not text:sub(close + 1, finish - 1):match("^%s+#") then
    return nil
  end
  return quote == '"' and expand(value, known, true) or value, finish + 1
end

local function line_of(text, at)
  local _, count = text:sub(1, at - 1):gsub("\n", "")
  return count + 1
end

-- Reads the whole text; `fail(line)` raises.
local function parse(text, fail)
  text = text:gsub("^\239\187\191", ""):gsub("\r\n", "\n")
  local read, at = {}, 1
  while at <= #text do
    local line = text:match("^[^\n]*", at)
    if line:match("^%s*$") or line:match("^%s*#") then
      at = at + #line + 1
    else
      local head, name = line:match("^(%s*([%a_][%w_.]*)[ \t]*=[ \t]*)")
      if not head or name == "export" then head, name = line:match("^(%s*export%s+([%a_][%w_.]*)[ \t]*=[ \t]*)") end
      local value, next_at
      if head then value, next_at = read_value(text, at + #head, read) end
      if not value then return fail(line_of(text, at)) end
      read[name], at = value, next_at
    end
  end
  return read
end

---Reads an environment file: `NAME=value`, comments, `export`, single and double quotes (the latter with
---escapes, over several lines), `${NAME}`. Variables that are set keep their values. Without a path, a `.env` that
---does not exist is no error. Raises `config` naming file and line.
---
---Usage: `orm.env()`
---@param path? string default ".env"
---@return table<string, string> read what the file says
function env.load(path)
  local expected = path ~= nil and options.text(path)
  if expected then errors.raise("config", "orm.env: the path must be " .. expected) end
  local name = path or ".env"
  local file, problem = io.open(name, "rb")
  if not file and not path then return {} end
  local text = file and file:read("*a")
  if file then file:close() end
  if not text then
    errors.raise("config", ("orm.env: the file '%s' cannot be read"):format(name), { cause = problem })
  end
  local read = parse(text, function(line)
    -- Never with the line's text: it may be a password.
    errors.raise("config", ("%s:%d: the line is not NAME=value, or a quote is not closed"):format(name, line))
  end)
  for key, value in pairs(read) do
    if values[key] == nil then values[key] = value end
  end
  return read
end

local function number_of(name, first, last)
  local text = env.get(name)
  if not text then return nil end
  local number = text:match("^%s*(%d+)%s*$")
  number = number and tonumber(number)
  local expected = options.integer(first, last)(number)
  if expected then errors.raise("config", ("the variable %s must be %s"):format(name, expected)) end
  return number
end

-- Who and where: the address in URL if there is one, for it is the whole; else a variable for each.
local function read_place(prefix)
  local address = env.get(prefix .. "_URL")
  if address then
    local parsed = url.parse(address)
    local own = parsed and parsed.driver == "postgres" and not parsed.password
    return { url = address, password = own and env.get(prefix .. "_PASSWORD") or nil }
  end
  return {
    host = env.get(prefix .. "_HOST"), port = number_of(prefix .. "_PORT", 1, 65535),
    database = env.get(prefix .. "_NAME"), user = env.get(prefix .. "_USER"),
    password = env.get(prefix .. "_PASSWORD"),
  }
end

---Makes a configuration of `<prefix>_HOST`, `_PORT`, `_NAME`, `_USER`, `_PASSWORD`, `_DRIVER`, `_URL`, `_SCHEMA`,
---`_SSL_MODE`, `_POOL_MIN` and `_POOL_MAX`. A prefix without a `_DRIVER` of its own takes `DB_DRIVER`; without
---either it is PostgreSQL when a host is set and SQLite otherwise. Where there is a `_URL`, it is asked instead of
---host, port, name and user. Raises `config` for a port or a size that is no number.
---
---Usage: `orm.init(orm.config_from_env("DB_SECONDARY", { context_name = "secondary", entities = { Log } }))`
---@param prefix? string default "DB"
---@param overrides? table any keys of `orm.init`; they win
---@return table config for `orm.init`
function env.config(prefix, overrides)
  local expected = prefix ~= nil and options.text(prefix)
  if expected then errors.raise("config", "orm.config_from_env: the prefix must be " .. expected) end
  if overrides ~= nil and type(overrides) ~= "table" then
    errors.raise("config", "orm.config_from_env: the overrides must be a table; got " .. options.describe(overrides))
  end
  prefix, overrides = prefix or "DB", overrides or {}
  local made = overrides.url and {} or read_place(prefix)
  -- A program that asks for the other driver does not mean this address.
  if made.url and overrides.driver and (url.parse(made.url) or {}).driver ~= overrides.driver then made = {} end
  made.schema, made.ssl_mode = env.get(prefix .. "_SCHEMA"), env.get(prefix .. "_SSL_MODE")
  local pool = { min = number_of(prefix .. "_POOL_MIN", 0), max = number_of(prefix .. "_POOL_MAX", 1) }
  for key, value in pairs(overrides) do made[key] = value end
  if type(overrides.pool) == "table" then
    for key, value in pairs(overrides.pool) do pool[key] = value end
  end
  if overrides.pool == nil or type(overrides.pool) == "table" then made.pool = next(pool) and pool or nil end
  if not made.driver and not made.url then
    made.driver = env.get(prefix .. "_DRIVER") or env.get("DB_DRIVER") or (made.host and "postgres") or "sqlite"
  end
  return made
end

return env
