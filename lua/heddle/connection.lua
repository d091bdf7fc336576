--- From the keys of a configuration to the options that a driver understands, a list of names and texts.
local compat = require("heddle.compat")
local options = require("heddle.options")
local later = require("heddle.later")
local url = later.module("heddle.url")

local connection = {}

-- Our keys, and libpq's words for them.
local keywords = {
  host = "host", port = "port", database = "dbname", user = "user", ssl_mode = "sslmode",
  application_name = "application_name", connect_timeout = "connect_timeout",
}

-- Keys of `options` for SQLite; for PostgreSQL every word of libpq's is one.
local sqlite_options = {
  busy_timeout = options.number(0), statement_cache = options.integer(0, 100000),
  mode = options.one_of({ "rwc", "rw", "ro" }),
}

-- Never in the scientific form, never with a fraction that is zero.
local function text_of(value)
  if value == true then return "on" end
  if value == false then return "off" end
  if type(value) ~= "number" then return value end
  if compat.math_type(value) == "integer" then return ("%d"):format(value) end
  return (("%.6f"):format(value):gsub("0+$", ""):gsub("%.$", ""))
end

-- One word of libpq's `options`, in which a backslash takes a blank's meaning away.
local function startup(name, value)
  return "-c " .. name .. "=" .. value:gsub("([\\%s])", "\\%1")
end

local function quote_name(name)
  return '"' .. name:gsub('"', '""') .. '"'
end

-- What PostgreSQL is told when a session starts; the program's own words come last and win.
local function startup_options(given, own)
  local words = {}
  if given.schema then words[#words + 1] = startup("search_path", quote_name(given.schema)) end
  if given.statement_timeout then
    words[#words + 1] = startup("statement_timeout", ("%d"):format(math.ceil(given.statement_timeout * 1000)))
  end
  words[#words + 1] = own
  return #words > 0 and table.concat(words, " ") or nil
end

local function check_scalars(given, what, fail)
  for _, name in ipairs(options.sorted_keys(given)) do
    local kind = type(given[name])
    if type(name) ~= "string" or not name:match("^[%a_][%w_]*$") then
      fail(("option '%s' has a name that is none"):format(what))
    end
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      fail(("option '%s.%s' must be a string, a number or a boolean; got %s"):format(what, name,
        options.describe(given[name])))
    end
    if kind == "string" and given[name]:find("%z") then fail(("option '%s.%s' has a NUL"):format(what, name)) end
  end
end

local function postgres(given, parsed, fail)
  local result = {}
  for name, value in pairs(parsed.query) do result[name] = value end
  for _, key in ipairs({ "host", "port", "database", "user" }) do
    if parsed[key] then result[keywords[key]] = parsed[key] end
  end
  local listed = given.options or {}
  check_scalars(listed, "options", fail)
  for name, value in pairs(listed) do result[name] = text_of(value) end
  for key, keyword in pairs(keywords) do
    if given[key] ~= nil then result[keyword] = text_of(given[key]) end
  end
  result.options = startup_options(given, result.options)
  if given.prepare == false then result.prepare = "off" end
  local password = given.password or parsed.password
  if type(password) == "string" then result.password = password end
  if not (result.dbname or result.service or given.url) then
    fail("option 'database' is missing; name the database to connect to")
  end
  return result
end

local function sqlite(given, parsed, fail)
  local result = { database = given.database or parsed.database }
  if not result.database then
    fail("option 'database' is missing; give the path of a file, or \":memory:\"")
  end
  for name, value in pairs(parsed.query) do
    if not sqlite_options[name] then fail("option 'url' has a parameter that SQLite does not know") end
    result[name] = value
  end
  options.check(given.options or {}, sqlite_options, function(message) fail("options: " .. message) end)
  for name, value in pairs(given.options or {}) do result[name] = text_of(value) end
  check_scalars(given.pragmas or {}, "pragmas", fail)
  for name, value in pairs(given.pragmas or {}) do
    local text = text_of(value)
    if not text:match("^[%w_.-]+$") then fail(("option 'pragmas.%s' must be one word or number"):format(name)) end
    result["pragma." .. name] = text
  end
  if given.statement_timeout then result.statement_timeout = text_of(given.statement_timeout) end
  if given.prepare == false then result.statement_cache = "0" end
  return result
end

local builders = { postgres = postgres, sqlite = sqlite }

-- SQLite is there without a server, so it is what nothing said means.
local function choose_driver(given, parsed, fail)
  if given.driver and parsed.driver and given.driver ~= parsed.driver then
    fail(("option 'driver' is '%s' and option 'url' is an address of '%s'"):format(given.driver, parsed.driver))
  end
  return given.driver or parsed.driver or (given.host and "postgres") or "sqlite"
end

---Whether a SQLite database lives in memory, in one connection.
---@param database string
---@return boolean
function connection.is_memory(database)
  return database == ":memory:" or database:find("^file::memory:") ~= nil
    or (database:find("^file:") ~= nil and database:find("[?&]mode=memory") ~= nil)
end

---What a driver is given, and what may be shown of it.
---@param given table checked keys of a configuration
---@param fail fun(message: string) raises
---@return table made { driver, options = { name -> text }, shown = { host, port, database, user } }
function connection.read(given, fail)
  local parsed = { query = {} }
  if given.url then
    local problem
    parsed, problem = url.parse(given.url)
    if problem then fail("option 'url' cannot be read: " .. problem) end
  end
  local driver = choose_driver(given, parsed, fail)
  local made = builders[driver](given, parsed, fail)
  local shown = { database = made.database or made.dbname }
  if driver == "postgres" then shown.host, shown.port, shown.user = made.host, made.port, made.user end
  return { driver = driver, options = made, shown = shown }
end

return connection
