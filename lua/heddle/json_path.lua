--- Paths into json documents: "address.city", "lines.1.price", or a list of names and places, { "lines", 1, "a.b" }.
--- Places are counted from 1 as in Lua, or from -1 on backwards; databases count from 0.
local errors = require("heddle.errors")

local json_path = {}

local MOST_STEPS = 100
local LARGEST = 2 ^ 31 - 1

local function step_of(step)
  if type(step) == "string" then
    if step:find("%z") then return nil, "takes names without NUL bytes in its path" end
    return step
  end
  if type(step) ~= "number" or step % 1 ~= 0 or step == 0 or step < -LARGEST or step > LARGEST then
    return nil, "takes names, and places counted from 1, as steps of its path"
  end
  step = math.floor(step)
  return step > 0 and step - 1 or step
end

local function of_text(path)
  local given = {}
  for step in (path .. "."):gmatch("([^.]*)%.") do
    if step == "" then return nil, "was given a path with an empty step: " .. errors.quote(path) end
    given[#given + 1] = step:find("^%-?%d+$") and tonumber(step) or step
    if #given > MOST_STEPS then return given end
  end
  return given
end

---The steps of a path, places counted from 0; nil and what is wrong.
---
---Usage: `local steps, why = json_path.steps("lines.1.price")` gives { "lines", 0, "price" }
---@param path any
---@return (string|integer)[]|nil steps
---@return string|nil why
function json_path.steps(path)
  if type(path) ~= "string" and type(path) ~= "table" then
    return nil, "takes a path: text, or a list of names and places"
  end
  local given, problem = path, nil
  if type(path) == "string" then given, problem = of_text(path) end
  if not given then return nil, problem end
  local steps, count = {}, 0
  for _ in pairs(given) do count = count + 1 end
  if count == 0 or count ~= #given then return nil, "takes a list without holes, and not an empty one, as a path" end
  if count > MOST_STEPS then return nil, "takes a path of " .. MOST_STEPS .. " steps at most" end
  for i = 1, count do
    local step, why = step_of(given[i])
    if step == nil then return nil, why end
    steps[i] = step
  end
  return steps
end

local function quoted(name)
  return '"' .. name:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

---Steps as PostgreSQL's jsonpath. Strict: a name leads into objects only, a place into arrays only.
---@param steps (string|integer)[]
---@return string
function json_path.text(steps)
  local parts = { "strict $" }
  for i, step in ipairs(steps) do
    if type(step) == "string" then
      parts[i + 1] = "." .. quoted(step)
    else
      parts[i + 1] = (step < 0 and "[last - %d]" or "[%d]"):format(step < 0 and -1 - step or step)
    end
  end
  return table.concat(parts)
end

return json_path
