--- Finds the program's place on the stack: the first line outside Heddle.
local compat = require("heddle.compat")

local place = {}

-- Chunk names of one directory differ by a leading "./" when package.path reaches it in two ways.
local function plain(source)
  return (source:gsub("^@%./", "@"))
end

local own = plain(debug.getinfo(1, "S").source):match("^(@.*[/\\])[^/\\]*$")

-- Generated code names itself "=heddle...".
local function is_own(source)
  source = plain(source)
  return source:sub(1, 7) == "=heddle" or (own ~= nil and source:sub(1, #own) == own)
end

-- `return orm.entity { ... }` is a tail call: the file that made it has left the stack by the time it is asked
-- for. What loads it, `require` or `dofile`, still stands there and holds its name.
local require, dofile = require, dofile

local function file_being_loaded(level, info)
  if info.func ~= require and info.func ~= dofile then return nil end
  local _, name = debug.getlocal(level + 1, 1)
  if type(name) ~= "string" then return nil end
  local file = name
  if info.func == require then file = compat.searchpath(name, package.path) end
  return file and not is_own("@" .. file) and file or nil
end

local function is_program(info)
  return info.what ~= "C" and info.what ~= "tail" and not is_own(info.source)
end

local function tell(info)
  return info.short_src .. ":" .. info.currentline, info.source:match("^@(.*)"), info.currentline
end

-- Where a protected call is a coroutine, who made it stands on another stack.
local function find_outside()
  local co = coroutine.running()
  co = co and compat.part_of(co)
  while co do
    local level = 0
    local info = debug.getinfo(co, level, "Sl")
    while info do
      if is_program(info) then return tell(info) end
      level = level + 1
      info = debug.getinfo(co, level, "Sl")
    end
    co = compat.part_of(co)
  end
  return nil
end

---@return string|nil where "app.lua:12", long paths shortened; without a line when the file only is known
---@return string|nil file path of that file, nil for code that came from none
---@return integer|nil line
function place.find()
  local level = 2
  local info = debug.getinfo(level, "Slf")
  while info do
    if info.what == "C" then
      local file = file_being_loaded(level, info)
      if file then return file, file end
    elseif is_program(info) then
      return tell(info)
    end
    level = level + 1
    info = debug.getinfo(level, "Slf")
  end
  return find_outside()
end

return place
