--- What differs between Lua 5.4, 5.3, 5.1 and LuaJIT. The only module that asks which one runs.
local compat = {}

---True on Lua 5.1 and LuaJIT: one number type, a double.
compat.is_51 = _VERSION == "Lua 5.1"

compat.unpack = table.unpack or unpack

---@return table packed its `n` counts the nils too
compat.pack = table.pack or function(...)
  return { n = select("#", ...), ... }
end

compat.move = table.move or function(from, first, last, at, to)
  to = to or from
  if at > first then
    for i = last - first, 0, -1 do to[at + i] = from[first + i] end
  else
    for i = 0, last - first do to[at + i] = from[first + i] end
  end
  return to
end

-- Only LuaJIT has it built in; elsewhere the name could be a file of the program's.
local presized, new_table = false, nil
if rawget(_G, "jit") then presized, new_table = pcall(require, "table.new") end

---A table with room for `narr` items and `nhash` keys, where the interpreter can reserve it.
compat.new_table = presized and new_table or function() return {} end

---Compiles source text (never bytecode); globals of the chunk are those of `env`.
---@param text string
---@param name string the chunk's name, as in `load`
---@param env? table
---@return function|nil chunk
---@return string|nil err
function compat.load(text, name, env)
  if not setfenv then return load(text, name, "t", env or _G) end
  if text:byte(1) == 27 then return nil, "bytecode is not loaded" end
  local chunk, err = loadstring(text, name)
  if chunk and env then setfenv(chunk, env) end
  return chunk, err
end

---The file that `require` would load for a module, by the templates of `path`.
---@param name string
---@param path string
---@return string|nil file
compat.searchpath = package.searchpath or function(name, path)
  local base = name:gsub("%.", "/"):gsub("%%", "%%%%")
  for template in path:gmatch("[^;]+") do
    local file = template:gsub("%?", base)
    local handle = io.open(file, "r")
    if handle then
      handle:close()
      return file
    end
  end
  return nil
end

---What `require` asks for a module, in turn; the first of them knows `package.preload`.
compat.searchers = package.searchers or package.loaders

---Compiles the text of a file of Heddle's, bytecode too.
---@param text string
---@param name string the chunk's name
---@return function|nil chunk
---@return string|nil err
compat.compile = loadstring or load

-- The largest integer up to which a double holds every one.
local EXACT = 2 ^ 53

---"integer", "float", or nil for what is no number. Where all numbers are doubles, one that is whole and
---held exactly is an integer.
---@param value any
---@return string|nil
compat.math_type = math.type or function(value)
  if type(value) ~= "number" then return nil end
  if value >= -EXACT and value <= EXACT and value == math.floor(value) then return "integer" end
  return "float"
end

-- Stands for the main coroutine where the interpreter has no value for it.
local main = {}

-- On 5.1 a protected call within a coroutine is a coroutine itself: which one it is part of. (Weak values, because weak
-- keys alone would keep both for ever there.)
local part_of = setmetatable({}, { __mode = "kv" })

---The running coroutine and whether it is the main one. On 5.1 and LuaJIT the main one is a table that
---serves as a key and nothing else.
---@return thread|table co
---@return boolean is_main
function compat.running()
  local co, is_main = coroutine.running()
  if co == nil then return main, true end
  while part_of[co] do co = part_of[co] end
  return co, is_main == true
end

---The coroutine that a protected call is part of, nil for any other.
function compat.part_of(co)
  return part_of[co]
end

local function pass(co, ok, ...)
  if coroutine.status(co) ~= "suspended" then return ok, ...  end
  return pass(co, coroutine.resume(co, coroutine.yield(...)))
end

-- Lua 5.1 cannot yield across pcall; it can across a coroutine whose yields are passed on.
local function pcall_51(fn, ...)
  local running = coroutine.running()
  if not running then return pcall(fn, ...) end
  local co = coroutine.create(function(...) return fn(...) end)
  part_of[co] = running
  return pass(co, coroutine.resume(co, ...))
end

-- Whether a function's bytecode has a loop over `pairs` or `next`.
local function has_traversal(util, proto)
  local ITERN = 70 -- in the bytecode of LuaJIT 2.1
  for pc = 1, util.funcinfo(proto).bytecodes - 1 do
    if util.funcbc(proto, pc) % 256 == ITERN then return true end
  end
  return false
end

---LuaJIT 2.1.0-beta3 on x64 (the one of Debian 12) may compile a loop over `pairs` wrongly: where registers are short
---it swaps a pointer with a counter in 32 bits, and the process dies. Functions that have such loops and are loaded
---from here on are left to its interpreter; the rest is compiled. Does nothing under any other interpreter.
---@return fun() stop
function compat.guard_traversals()
  local jit = rawget(_G, "jit")
  if not jit or jit.version ~= "LuaJIT 2.1.0-beta3" or jit.arch ~= "x64" then return function() end end
  local ok, util = pcall(require, "jit.util")
  if not ok then return function() end end
  local function guard(proto)
    if has_traversal(util, proto) then jit.off(proto) end
  end
  jit.attach(guard, "bc")
  return function() jit.attach(guard) end
end

---Gives a function back whose every loop hears a debug hook, as Ctrl-C sets one: what LuaJIT compiles hears none.
---@param fn function
---@return function fn
function compat.uncompiled(fn)
  local jit = rawget(_G, "jit")
  if jit then jit.off(fn, true) end
  return fn
end

---Whether the function that asks was called by a generic `for` out of which nothing can be yielded, as on Lua 5.1.
---@type fun(): boolean
compat.is_rigid_step = compat.is_51 and not rawget(_G, "jit") and function()
  return debug.getinfo(2, "n").name == "(for generator)"
end or function() return false end

---`pcall` that may be yielded across.
compat.pcall = compat.is_51 and not rawget(_G, "jit") and pcall_51 or pcall

return compat
