--- The files of a context's migrations: which there are, what they say of themselves, and what they run.
---
--- A Lua file returns `{ context =, transaction =, up = function(m) end, down = function(m) end }`. A pair of SQL files
--- says the same in a comment at its top, `-- heddle: context=secondary transaction=off`.
local checksum = require("heddle.migrations.checksum")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local failure = require("heddle.migrations.failure")
local names = require("heddle.migrations.names")
local options = require("heddle.options")
local script = require("heddle.migrations.script")
local suggest = require("heddle.suggest")

local files = {}

---luafilesystem, which is loaded when migrations are first asked for. Raises `config`.
function files.lfs(context_name)
  local found, lfs = pcall(require, "lfs")
  if found then return lfs end
  errors.raise("config", ("Migrations of context '%s' need the module 'lfs'; install luafilesystem"):format(
    context_name), { context = context_name, cause = lfs })
end

---@param path string
---@return string|nil text
---@return string|nil problem
function files.read(path)
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local text
  text, problem = file:read("*a")
  file:close()
  return text, problem
end

local function must_read(path, context_name)
  local text, problem = files.read(path)
  if not text then
    failure.refuse(context_name, ("the file '%s' cannot be read: %s"):format(path, tostring(problem)), { file = path })
  end
  return text
end

-- Headers ------------------------------------------------------------------------------------------------------

local header_keys = { context = true, transaction = true, replaces = true }

-- One `key=value`, in quotes where it has blanks; what follows it.
local function read_pair(words)
  local key, value, rest = words:match('^%s*([%w_]+)%s*=%s*"([^"]*)"(.*)$')
  if not key then key, value, rest = words:match('^%s*([%w_]+)%s*=%s*([^%s"]+)(.*)$') end
  return key, value, rest
end

local function put(header, key, value, is_lua)
  if not header_keys[key] then
    return ("'%s' means nothing here; expected context=, transaction= or replaces=%s"):format(key,
      suggest.hint(key, header_keys))
  elseif is_lua and key ~= "replaces" then
    return ("a Lua file says its %s in the table that it returns"):format(key)
  elseif key == "transaction" and value ~= "on" and value ~= "off" then
    return ("transaction=%s; expected transaction=on or transaction=off"):format(value)
  elseif key ~= "replaces" then
    header[key] = value
    return nil
  end
  header.replaces = header.replaces or {}
  header.replaces[#header.replaces + 1] = value
end

-- The comments at the top of a file that are meant for Heddle.
local function read_header(text, path, context_name)
  local header, line, is_lua = {}, 0, path:find("%.lua$") ~= nil
  local function fail(message)
    errors.raise("migration", ("%s:%d: '-- heddle:' %s"):format(path, line, message), { context = context_name,
      file = path, line = line })
  end
  for comment in text:gsub("^\239\187\191", ""):gmatch("([^\n]*)\n?") do
    line = line + 1
    if comment:find("%S") and not comment:find("^%s*%-%-") then break end
    local words = comment:match("^%s*%-%-%s*heddle:(.*)$")
    while words and words:find("%S") do
      local key, value, rest = read_pair(words)
      if not key then fail("takes words like context=NAME; this is none: " .. words:gsub("%s+$", "")) end
      local problem = put(header, key, value, is_lua)
      if problem then fail(problem) end
      words = rest
    end
  end
  return header
end

-- Listing ------------------------------------------------------------------------------------------------------

---Where a context's migrations are.
---@param context table
---@return string
function files.directory(context)
  return (context.config.migrations.path:gsub("(.)/+$", "%1"))
end

local function path_of(directory, file)
  return directory .. "/" .. file
end

-- Name -> kind -> file. What looks like a migration and is named like none would be left out without a word.
local function collect(directory, context_name)
  local lfs = files.lfs(context_name)
  local found = {}
  if lfs.attributes(directory, "mode") ~= "directory" then return found end
  local readable, iterate, state = pcall(lfs.dir, directory)
  if not readable then
    failure.refuse(context_name, ("the directory '%s' cannot be read: %s"):format(directory, tostring(iterate)),
      { file = directory })
  end
  for file in iterate, state do
    local is_code = file:find("%.lua$") or file:find("%.sql$")
    local name, kind = names.of_file(file)
    if name then
      found[name] = found[name] or {}
      found[name][kind] = file
    elseif is_code and file:sub(1, 1) ~= "." and lfs.attributes(path_of(directory, file), "mode") == "file" then
      failure.refuse(context_name, ("'%s' is not named like a migration; expected YYYYMMDDHHMMSS_name.lua, or "
        .. "YYYYMMDDHHMMSS_name.up.sql and .down.sql: rename it, or put it elsewhere")
        :format(path_of(directory, file)), { file = path_of(directory, file) })
    end
  end
  return found
end

local function check_kinds(name, kinds, directory, context_name)
  local path = path_of(directory, kinds.lua or kinds["up.sql"] or kinds["down.sql"])
  if kinds.lua and (kinds["up.sql"] or kinds["down.sql"]) then
    failure.raise({ name = name, path = path }, context_name, "is there twice, in Lua and in SQL; remove one")
  elseif kinds["down.sql"] and not kinds["up.sql"] then
    failure.raise({ name = name, path = path }, context_name, ("has a .down.sql and no .up.sql; expected '%s'"):format(
      path_of(directory, name .. ".up.sql")))
  end
  return path
end

local function make(name, kinds, directory, context_name)
  local entry = { name = name, kind = kinds.lua and "lua" or "sql" }
  entry.path = check_kinds(name, kinds, directory, context_name)
  entry.text = must_read(entry.path, context_name)
  entry.header = read_header(entry.text, entry.path, context_name)
  local whole = entry.text
  if kinds["down.sql"] then
    entry.down_path = path_of(directory, kinds["down.sql"])
    entry.down_text = must_read(entry.down_path, context_name)
    whole = whole .. "\0" .. entry.down_text
  end
  entry.checksum, entry.replaces = checksum(whole), entry.header.replaces
  return entry
end

---All migrations of a directory, in order; none when it is not there. Nothing of them is run. Raises `migration`.
---@param directory string
---@param context_name string
---@return table[] entries
function files.list(directory, context_name)
  local list = {}
  for name, kinds in pairs(collect(directory, context_name)) do
    list[#list + 1] = make(name, kinds, directory, context_name)
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

-- Loading ------------------------------------------------------------------------------------------------------

-- M5.
local function check_context(entry, given, context_name)
  if given == context_name then return end
  failure.raise(entry, context_name, ("is written for context '%s' (%s): it never runs in '%s'; move it to that "
    .. "context's directory"):format(given, entry.path, context_name))
end

local definition_rules = {
  context = options.text, transaction = options.boolean, up = options.func, down = options.func,
}

local function load_lua(entry, context_name)
  local text = entry.text:gsub("^\239\187\191", ""):gsub("^#[^\n]*", "")
  local chunk, made = compat.load(text, "@" .. entry.path)
  local right = false
  if chunk then right, made = compat.pcall(chunk, entry.name) end
  if not right then
    local why = errors.is_error(made) and made.message or tostring(made)
    -- Lua shortens long paths.
    if not chunk then why = why:gsub("^.-:(%d+:)", entry.path:gsub("%%", "%%%%") .. ":%1") end
    failure.raise(entry, context_name, "cannot be loaded: " .. why, { cause = made,
      line = tonumber(why:match("^[^\n]-:(%d+):")) })
  end
  local function fail(message)
    failure.raise(entry, context_name, ("(%s): %s"):format(entry.path, message))
  end
  if type(made) ~= "table" then
    fail("the file gave " .. (made == nil and "nothing" or options.describe(made))
      .. "; expected return { up = function(m) ... end }")
  end
  options.check(made, definition_rules, fail)
  if not made.up then fail("option 'up' is missing; expected up = function(m) ... end") end
  return { context = made.context or "default", transaction = made.transaction ~= false, up = made.up,
    down = made.down }
end

local function load_script(entry, path, text, context_name)
  local statements = script.split((text:gsub("^\239\187\191", "")), entry.driver)
  for _, statement in ipairs(statements) do
    local problem = script.problem(statement.text)
    if problem then
      failure.raise(entry, context_name, ("cannot be run: %s:%d: %s"):format(path, statement.line, problem),
        { file = path, line = statement.line, sql = statement.text })
    end
  end
  statements.path = path
  return statements
end

---What a migration runs: functions of Lua, lists of statements of SQL. Raises `migration` for a file that is none and
---for one of another context.
---@param entry table
---@param context table
---@return { up: table, down: table|nil } each { run = function|table, transaction = boolean }
function files.load(entry, context)
  local name = context.name
  entry.driver = context.driver_name
  if entry.kind == "lua" then
    local made = load_lua(entry, name)
    check_context(entry, made.context, name)
    return {
      up = { run = made.up, transaction = made.transaction },
      down = made.down and { run = made.down, transaction = made.transaction },
    }
  end
  local header = entry.header
  check_context(entry, header.context or "default", name)
  local made = { up = { run = load_script(entry, entry.path, entry.text, name),
    transaction = header.transaction ~= "off" } }
  if entry.down_text then
    local own = read_header(entry.down_text, entry.down_path, name)
    check_context({ name = entry.name, path = entry.down_path }, own.context or header.context or "default", name)
    made.down = { run = load_script(entry, entry.down_path, entry.down_text, name),
      transaction = (own.transaction or header.transaction) ~= "off" }
  end
  return made
end

return files
