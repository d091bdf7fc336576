--- The text of a migration's file, as a person would have written it.
local options = require("heddle.options")
local placeholders = require("heddle.placeholders")

local text = {}

local INDENT = "    "

-- Lines that stand in a literal are the value's: they are not moved.
local function has_lines_in_literals(sql, driver)
  local at = 1
  while true do
    at = sql:find("['\"%-/$`%[]", at)
    if not at then return false end
    local mark = sql:sub(at, at)
    local stop = placeholders.skip(sql, at, mark, driver == "postgres")
    local is_comment = mark == "-" or mark == "/"
    if not is_comment and sql:sub(at, stop - 1):find("\n", 1, true) then return true end
    at = math.max(stop, at + 1)
  end
end

-- A long string of Lua's. One that begins with a line end, or has a carriage return, would not come back as it was.
local function long_string(sql)
  if sql:find("\r", 1, true) then return ("%q"):format(sql) end
  local level = ""
  while sql:find("]" .. level .. "]", 1, true) or sql:sub(-1 - #level) == "]" .. level do level = level .. "=" end
  return "[" .. level .. "[" .. (sql:find("\n", 1, true) and "\n" or "") .. sql .. "]" .. level .. "]"
end

text.long = long_string

local function quoted(sql, driver, indent)
  if not sql:find("[\"\\\r\n]") then return ("%q"):format(sql) end
  if sql:find("\n", 1, true) and not has_lines_in_literals(sql, driver) then
    sql = indent .. "  " .. sql:gsub("\n", "\n" .. indent .. "  ") .. "\n" .. indent
  end
  return long_string(sql)
end

local function list_of(items, driver, indent)
  local parts = {}
  for i, item in ipairs(items) do parts[i] = quoted(item, driver, indent) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

-- Columns of a rebuild whose value is not the same column's.
local function copy_of(copy, driver)
  local parts = {}
  for _, name in ipairs(options.sorted_keys(copy or {})) do
    local key = name:match("^[%a_][%w_]*$") and not text.reserved[name] and name or ("[%q]"):format(name)
    local value = copy[name]
    parts[#parts + 1] = key .. " = " .. (type(value) == "string" and quoted(value, driver, INDENT) or tostring(value))
  end
  return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
end

text.reserved = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
    while]]):gmatch("%S+") do
  text.reserved[word] = true
end

-- One step as a call.
local function call(step, driver)
  if type(step) == "string" then return INDENT .. "m:sql " .. quoted(step, driver, INDENT) end
  local drop, add = step.drop_indexes or {}, step.add_indexes or {}
  local arguments = { ("%q"):format(step.rebuild), quoted(step.create, driver, INDENT) }
  local has_indexes = #drop + #add > 0
  if has_indexes or next(step.copy or {}) then arguments[3] = copy_of(step.copy, driver) end
  if has_indexes then
    arguments[4] = ("{ drop = %s, add = %s }"):format(list_of(drop, driver, INDENT), list_of(add, driver, INDENT))
  end
  return INDENT .. "m:rebuild(" .. table.concat(arguments, ", ") .. ")"
end

local function half(name, steps, driver)
  local lines = { ("  %s = function(m)"):format(name) }
  for _, step in ipairs(steps) do lines[#lines + 1] = call(step, driver) end
  if #steps == 0 then lines[2] = INDENT .. "-- m:sql \"...\", m:em():find(...)" end
  lines[#lines + 1] = "  end,"
  return table.concat(lines, "\n")
end

local function comments(notes)
  local lines = {}
  for i, note in ipairs(notes or {}) do lines[i] = "-- " .. note:gsub("%s*\n%s*", " ") .. "\n" end
  return table.concat(lines)
end

---A file in Lua.
---@param made { context: string, driver: string, up: table, down: table|nil, notes: string[] }
---@return string
function text.lua(made)
  local parts = { comments(made.notes) .. "return {", ("  context = %q,"):format(made.context), "",
    half("up", made.up, made.driver) }
  if made.down then
    parts[#parts + 1] = ""
    parts[#parts + 1] = half("down", made.down, made.driver)
  end
  parts[#parts + 1] = "}\n"
  return table.concat(parts, "\n")
end

local function header(context_name)
  return "-- heddle: context=" .. (context_name:find("%s") and '"' .. context_name .. '"' or context_name) .. "\n"
end

---One half in SQL.
---@param made table as for `lua`
---@param steps string[]
---@param notes string[]|nil
---@return string
function text.sql(made, steps, notes)
  local parts = { header(made.context) .. comments(notes) }
  for _, step in ipairs(steps) do parts[#parts + 1] = step .. ";\n" end
  return table.concat(parts, "\n")
end

-- What others have put on a view that comes again is known where the migration runs, not here.
local function note_views(notes, up)
  local goes = {}
  for _, step in ipairs(up) do
    local name = type(step) == "string" and (step:match("^DROP VIEW (.+)$") or step:match("^CREATE VIEW (.-) AS "))
    if name and goes[name] then
      notes[#notes + 1] = ("View %s is made anew: triggers, grants and the like that it was given otherwise go with "
        .. "the old one; make them again behind it"):format(name)
    end
    if name then goes[name] = true end
  end
end

---What stands at the top of the file, as sentences.
---@param changes table see schema/compare.lua
---@param problem string|nil why there is no way down
---@param up table steps
---@return string[]
function text.notes(changes, problem, up)
  local notes = {}
  for _, sentence in ipairs(changes.hints) do notes[#notes + 1] = "Hint: " .. sentence end
  for _, sentence in ipairs(changes.left_out) do notes[#notes + 1] = "Left out: " .. sentence end
  note_views(notes, up)
  if problem then notes[#notes + 1] = "No way down: " .. problem end
  return notes
end

return text
