--- Reads what callgrind wrote.
---
---     local profile = require("bench.callgrind").read(path)
---     profile.instructions           --> 68112235
---     profile.calls["/usr/bin/lua5.4"].realloc     --> 70001, how often code of that file called it

local callgrind = {}

-- A name stands in full where it is first used, and is its number afterwards: "(5) realloc", "(5)".
local function named(names, text)
  local number, name = text:match("^(%(%d+%)) ?(.*)$")
  if not number then return text end
  if name ~= "" then names[number] = name end
  return names[number]
end

---@param path string
---@return { instructions: integer, calls: table<string, table<string, integer>> }
function callgrind.read(path)
  local objects, functions, calls = {}, {}, {}
  local object, callee, instructions
  for line in assert(io.lines(path)) do
    local key, value = line:match("^(%a+)[=:] ?(.*)$")
    if key == "ob" then
      object = named(objects, value)
    elseif key == "cob" then
      named(objects, value)
    elseif key == "fn" then
      named(functions, value)
    elseif key == "cfn" then
      callee = named(functions, value)
    elseif key == "calls" then
      local from = calls[object] or {}
      calls[object] = from
      from[callee] = (from[callee] or 0) + tonumber(value:match("^%d+"))
    elseif key == "totals" then
      instructions = tonumber(value)
    end
  end
  return { instructions = instructions, calls = calls }
end

return callgrind
