--- Finds the entities of a context: those given, and those in the files that a pattern matches.
---
--- A file that `package.path` reaches is loaded by `require`, so that a program that requires it has the same
--- entity; any other file is loaded once, however many contexts name it.
local compat = require("heddle.compat")
local entity = require("heddle.entity")
local errors = require("heddle.errors")
local options = require("heddle.options")

local discovery = {}

local function fail(kind, context_name, message, cause)
  errors.raise(kind, ("Entities of context '%s': %s"):format(context_name, message),
    { context = context_name, cause = cause })
end

local lfs, glob

-- luafilesystem is loaded when the first pattern asks for it.
local function need_files(context_name)
  local found
  found, lfs = pcall(require, "lfs")
  if not found then
    lfs = nil
    fail("config", context_name, "reading entity files needs the module 'lfs'; install luafilesystem")
  end
  glob = require("heddle.glob")
end

-- One file has one identity, whatever path leads to it.
local function identity(path)
  local attributes = lfs.attributes(path)
  return attributes and (attributes.dev .. ":" .. attributes.ino)
end

-- ---- Module names ----

-- Without "." and ".." where that can be told from the text.
local function absolute(path)
  if path:sub(1, 1) ~= "/" then path = lfs.currentdir() .. "/" .. path end
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then parts[#parts] = nil elseif part ~= "." then parts[#parts + 1] = part end
  end
  return "/" .. table.concat(parts, "/")
end

-- What stands for the "?" of a template when it reaches the file.
local function module_name(template, path)
  if not template:find("?", 1, true) then return nil end
  local pattern = absolute(template):gsub("[%^%$%(%)%%%.%[%]%*%+%-]", "%%%0")
  local name = path:match("^" .. pattern:gsub("%?", "(.+)", 1):gsub("%?", "%%1") .. "$")
  -- A dot in a directory's name would be read as a separator.
  if not name or name:find(".", 1, true) then return nil end
  return (name:gsub("/", "."))
end

-- The name under which `require` gives this very file: one that is loaded already, else the shortest.
local function require_name(path, id)
  local best
  path = absolute(path)
  for template in package.path:gmatch("[^;]+") do
    local name = module_name(template, path)
    local reached = name and compat.searchpath(name, package.path)
    if reached and identity(reached) == id then
      if package.loaded[name] then return name end
      if not best or #name < #best then best = name end
    end
  end
  return best
end

-- ---- Loading ----

-- What files outside package.path gave, by identity.
local loaded = {}

local function load_file(path, id)
  local name = require_name(path, id)
  if name then
    local right, result = pcall(require, name)
    -- 5.1 leaves a mark behind that makes every later attempt fail for another reason.
    if not right then package.loaded[name] = nil end
    return right, result
  end
  if loaded[id] ~= nil then return true, loaded[id] end
  local right, result = pcall(dofile, path)
  if right then loaded[id] = result end
  return right, result
end

-- Adds an entity, or each of a list of them; nothing else may be there.
local function add(into, value, refuse)
  if entity.is_entity(value) then
    into[#into + 1] = value
    return
  end
  if type(value) ~= "table" or options.list_of(options.any)(value) or #value == 0 then
    return refuse(options.describe(value))
  end
  for _, item in ipairs(value) do add(into, item, refuse) end
end

local function add_file(into, path, context_name)
  local right, result = load_file(path, identity(path))
  if not right then
    if errors.is_error(result) then error(result, 0) end
    -- What `require` says before the fault itself names the file once more.
    local cause = type(result) == "string" and result:gsub("^error loading module .- from file .-:%s+", "") or result
    local reason = tostring(cause):gsub("%s+", " ")
    fail("metadata", context_name, ("the file '%s' cannot be loaded: %s"):format(path, reason), cause)
  end
  add(into, result, function(what)
    fail("metadata", context_name, ("the file '%s' must return an entity or a list of entities; it gave %s")
      :format(path, (what == "a boolean" or what == "missing") and "nothing" or what))
  end)
end

local function add_pattern(into, pattern, base_dir, context_name)
  if not lfs then need_files(context_name) end
  local paths = glob.files(pattern, base_dir)
  if #paths == 0 then
    fail("config", context_name, ("no file matches '%s'; patterns are relative to '%s'"):format(pattern,
      (base_dir and base_dir ~= "") and base_dir or lfs.currentdir()))
  end
  for _, path in ipairs(paths) do add_file(into, path, context_name) end
end

---The entities that `entities` names: entities, lists of them, and patterns of files. Raises `config` for what is
---none of these and for a pattern without a file, `metadata` for a file that gives no entity and for two
---definitions of one name.
---@param entities table
---@param base_dir string|nil where relative patterns begin
---@param context_name string for messages
---@return table[] classes each once
function discovery.load(entities, base_dir, context_name)
  local found = {}
  if options.list_of(options.any)(entities) then
    fail("config", context_name, "option 'entities' must be a list; one of its items is nil or has a name")
  end
  for position, item in ipairs(entities) do
    if type(item) == "string" and item ~= "" then
      add_pattern(found, item, base_dir, context_name)
    else
      add(found, item, function(what)
        fail("config", context_name, ("item %d of 'entities' is neither an entity nor a pattern of files; it is %s")
          :format(position, what))
      end)
    end
  end
  local _, list = entity.by_name(found, context_name)
  return list
end

---The directory of the program's file that called, "" when it is the current one or there is none.
---@return string
function discovery.caller_dir()
  local _, file = errors.where()
  return file and file:match("^(.*)/[^/]*$") or ""
end

return discovery
