--- The one kind of object that Heddle raises: a table with `kind`, `message` and what is known of the place.
---
--- `message` and `tostring` are Heddle's own words and hold no value that a program bound; what a server
--- said stands in `detail`, `hint` and `cause`. `where` is the first line outside Heddle on the stack.
local place = require("heddle.place")

local errors = {}

---Set by a context with `debug = true`: errors then carry a traceback.
errors.debug = false

local kinds = {}
for kind in ([[config duplicate_context context_not_found no_request_context global_context
    entity_not_registered metadata unknown_property validation not_found not_loaded not_managed wrong_context
    connection pool_timeout unique_violation foreign_key_violation not_null_violation check_violation syntax
    table_not_found deadlock lock_timeout serialization_failure timeout canceled optimistic_lock
    transaction_required read_only busy commit_order hook unsupported migration closed driver]]):gmatch("%S+") do
  kinds[kind] = true
end

local families = {
  constraint = {
    unique_violation = true,
    foreign_key_violation = true,
    not_null_violation = true,
    check_violation = true,
  },
}

---@class heddle.Error
---@field kind string
---@field message string
---@field context? string
---@field entity? string
---@field property? string
---@field sql? string
---@field sqlstate? string
---@field constraint? string
---@field table? string
---@field column? string
---@field detail? string
---@field hint? string
---@field cause? any
---@field where? string "app.lua:12"
---@field traceback? string
local Error = { __name = "heddle.error" }

function Error:__tostring()
  if self.where then return self.message .. " at " .. self.where end
  return self.message
end

function Error.__concat(a, b)
  return tostring(a) .. tostring(b)
end

---The program's place on the stack (see heddle.place).
errors.where = place.find

local function complete(err)
  err.where = err.where or errors.where()
  if errors.debug and not err.traceback then err.traceback = debug.traceback(err.message, 2) end
  return setmetatable(err, Error)
end

---Makes an error object.
---@param kind string one of the contract's kinds
---@param message string what, where, and what to do next
---@param fields? table any of the error's other fields
---@return heddle.Error
function errors.new(kind, message, fields)
  if not kinds[kind] then error("unknown kind of error: " .. tostring(kind), 2) end
  local err = {}
  if fields then
    for key, value in pairs(fields) do err[key] = value end
  end
  err.kind, err.message = kind, message
  return complete(err)
end

---Raises an error object.
---@param kind string
---@param message string
---@param fields? table
function errors.raise(kind, message, fields)
  error(errors.new(kind, message, fields), 0)
end

---Makes the table that the core fills for a failed action an error object.
---@param record table { kind =, message =, ... }
---@return heddle.Error
function errors.from_core(record)
  if not kinds[record.kind] then error("unknown kind of error: " .. tostring(record.kind), 2) end
  record.message = record.message or (record.kind:gsub("_", " "))
  return complete(record)
end

---Whether `value` is an error of Heddle's, and of that kind. The kind "constraint" stands for the four
---violations.
---
---Usage: `if orm.is_error(err, "unique_violation") then ... end`
---@param value any
---@param kind? string
---@return boolean
function errors.is_error(value, kind)
  if type(value) ~= "table" or getmetatable(value) ~= Error then return false end
  if kind == nil or value.kind == kind then return true end
  local family = families[kind]
  return family ~= nil and family[value.kind] == true
end

---A name fit for a message: quoted, on one line, not endless. What is no name is told by its type.
---@param name any
---@return string
function errors.quote(name)
  if type(name) == "number" or type(name) == "boolean" then return tostring(name) end
  if type(name) ~= "string" then return "a " .. type(name) end
  if #name > 64 then name = name:sub(1, 61) .. "..." end
  return "'" .. name:gsub("%c", "?") .. "'"
end

return errors
