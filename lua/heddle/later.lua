--- Modules that are loaded when something of theirs is first used: at its start a program pays for what it uses, not
--- for everything that there is.
---
--- After the first use nothing is left of it. What stands for a module keeps each function that was asked of it, what
--- stands for a method is replaced by the method: a hot path pays nothing for having been loaded late.
---
--- What is loaded late must be what would have been loaded early, whatever has become of `package.path` and the current
--- directory since. So Heddle's own modules are searched for where Heddle was found, before anything else.
local compat = require("heddle.compat")
local core = require("heddle.core")

local later = {}

-- What was put off, in the order of its coming.
local names, is_known = {}, {}

local function note(name)
  if is_known[name] then return end
  is_known[name] = true
  names[#names + 1] = name
end

-- Nobody keeps these: what they stand for comes into their place.
local stubs = setmetatable({}, { __mode = "k" })

---Stands for a module whose fields do not change once they are there; gives the module itself when it is loaded.
---
---Usage: `local suggest = later.module("heddle.suggest")`
---@param name string
---@return table
function later.module(name)
  local loaded = package.loaded[name]
  if type(loaded) == "table" then return loaded end
  note(name)
  return setmetatable({}, {
    __index = function(self, key)
      local value = require(name)[key]
      if not stubs[value] then rawset(self, key, value) end
      return value
    end,
    __newindex = function() error("'" .. name .. "' is not changed from here", 2) end,
  })
end

local function settle(stub)
  local into, name, module = stubs[stub][1], stubs[stub][2], require(stubs[stub][3])
  if rawget(into, name) == stub then rawset(into, name, module[name]) end
end

local function put_stub(into, name, module)
  local function stub(...)
    settle(stub)
    return into[name](...)
  end
  stubs[stub] = { into, name, module }
  rawset(into, name, stub)
end

---Puts functions into a table whose first call loads their module. It has put its own in their place then, or has
---fields of these names to be put there.
---
---Usage: `later.fill(Manager, { ["heddle.manager.paging"] = "find_by_cursor" })`
---@generic T: table
---@param into T
---@param rooms table<string, string> by module the names of the functions
---@return T into
function later.fill(into, rooms)
  for module, functions in pairs(rooms) do
    note(module)
    for name in functions:gmatch("%S+") do put_stub(into, name, module) end
  end
  return into
end

---Gives a table the fields that modules have, each when it is first asked for.
---
---Usage: `later.fields(orm, { op = "heddle.op", now = "heddle.date now" })`
---@generic T: table
---@param into T
---@param rooms table<string, string> by field the module, and its field where it is not the module itself
---@return T into
function later.fields(into, rooms)
  for _, room in pairs(rooms) do note(room:match("^%S+")) end
  return setmetatable(into, {
    __index = function(self, key)
      if rooms[key] == nil then return nil end
      local module, field = rooms[key]:match("^(%S+) ?(%S*)$")
      local value = require(module)
      if field ~= "" then value = value[field] end
      rawset(self, key, value)
      return value
    end,
  })
end

---An object whose class is what a module gives.
---@param fields table
---@param name string
---@return table
function later.object(fields, name)
  note(name)
  return setmetatable(fields, {
    __index = function(object, key) return setmetatable(object, require(name))[key] end,
  })
end

---Loads everything that was put off: for processes that fork, or are locked out of the file system, afterwards.
function later.load_all()
  local position = 1
  while names[position] do -- the list grows meanwhile
    require(names[position])
    position = position + 1
  end
  for stub in pairs(stubs) do settle(stub) end
end

-- Where Heddle is ------------------------------------------------------------------------------------------

-- Relative to where the process stands now, which it may leave.
local function absolute(path)
  local directory = path:sub(1, 1) ~= "/" and core.directory()
  return directory and directory .. "/" .. path or path
end

-- The directory of `heddle/later.lua`, as chunk names have it; nil where the modules are no files.
local shown = debug.getinfo(1, "S").source:match("^@(.-)heddle/later%.lua$")
local root = shown and absolute(shown)
-- The libraries stand beside the core.
local library = compat.searchpath("heddle.core", package.cpath)
library = library and absolute(library)

local function find_library(name)
  local file = library and library:gsub("core(%.[^./]*)$", name .. "%1")
  return file and package.loadlib(file, "luaopen_heddle_" .. name), file
end

-- What runs once for each entity, at the start: compiling it, LuaJIT would take longer than it runs.
local brief = {}
for name in ([[config connection constraints definition mapping mapping.columns mapping.keys mapping.lineage
    mapping.pivot mapping.sides naming place property relation types]]):gmatch("%S+") do
  brief["heddle." .. name] = true
end

local function find_file(name)
  local file = name:gsub("%.", "/") .. ".lua"
  local handle = io.open(root .. file, "r")
  if not handle then return nil end
  local text = handle:read("*a")
  handle:close()
  local stop = compat.guard_traversals()
  local chunk, err = compat.compile(text, "@" .. shown .. file)
  stop()
  if not chunk then error(err, 0) end
  return brief[name] and compat.uncompiled(chunk) or chunk, root .. file
end

local libraries = { ["heddle.sqlite"] = "sqlite", ["heddle.postgres"] = "postgres" }

-- One that another Heddle has replaced is out of office.
local function search(name)
  if name:sub(1, 7) ~= "heddle." or package.loaded["heddle.later"] ~= later then return nil end
  if libraries[name] then return find_library(libraries[name]) end
  return find_file(name)
end

if root and compat.searchers then table.insert(compat.searchers, 2, search) end

return later
