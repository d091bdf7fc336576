--- Errors of migrations: which one, of which context, where in its file, what the database said.
local errors = require("heddle.errors")

local failure = {}

-- What an error of the database's knows besides its words.
local KEPT = { "sql", "sqlstate", "code", "detail", "hint", "constraint", "table", "column", "entity", "property" }

---What a user types next.
---@param name string a migration
---@param context_name string
---@param how string "--done", "--undone" or both
---@return string
function failure.resolve_command(name, context_name, how)
  return ("heddle migrate:resolve %s %s%s"):format(name, how,
    context_name == "default" and "" or " --context " .. context_name)
end

---Raises `migration` about one of them.
---@param entry table { name =, path = }
---@param context_name string
---@param message string what follows the name: "has no down"
---@param fields? table
function failure.raise(entry, context_name, message, fields)
  fields = fields or {}
  fields.context, fields.migration, fields.file = context_name, entry.name, fields.file or entry.path
  errors.raise("migration", ("Migration '%s' of context '%s' %s"):format(entry.name, context_name, message), fields)
end

---Raises `migration` about the whole of them.
---@param context_name string
---@param message string
---@param fields? table
function failure.refuse(context_name, message, fields)
  fields = fields or {}
  fields.context = context_name
  errors.raise("migration", ("Migrations of context '%s': %s"):format(context_name, message), fields)
end

-- A runtime error of Lua's begins with where it was. Where Ctrl-C met the program says nothing of the migration.
local function words_of(err)
  if errors.is_error(err) then return err.message, err.where end
  if tostring(err):find("interrupted!", 1, true) then return "interrupted" end
  local where, message = tostring(err):match("^([^\n]-:%d+): (.*)$")
  return message or tostring(err), where
end

---What a migration raised, as an error of kind `migration`.
---@param entry table
---@param context_name string
---@param err any
---@param at { file: string, line: integer, sql: string }|nil the statement of a script
---@param remains string what is left of it
---@return heddle.Error
function failure.of(entry, context_name, err, at, remains)
  local message, where = words_of(err)
  local fields = { context = context_name, migration = entry.name, file = entry.path }
  if errors.is_error(err) then
    for _, key in ipairs(KEPT) do fields[key] = err[key] end
    fields.cause = err.cause or err
    fields.reason = err.kind
  else
    fields.cause = err
  end
  if at then
    fields.file, fields.line, fields.sql = at.file, at.line, fields.sql or at.sql
    where = at.file .. ":" .. at.line
  elseif where then
    fields.line = tonumber(where:match(":(%d+)$"))
  end
  return errors.new("migration", ("Migration '%s' of context '%s' failed%s: %s; %s"):format(entry.name, context_name,
    where and " at " .. where or "", message, remains), fields)
end

return failure
