--- The seeds of a context: Lua files of its directory, in the order of their names.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local glob = require("heddle.glob")
local options = require("heddle.options")

local files = {}

local function fail(context, item, message, cause)
  errors.raise("migration", ("Seed '%s' of context '%s': %s"):format(item.name, context.name, message),
    { context = context.name, cause = cause })
end

---@param context table
---@return table[] items { name, path }
function files.list(context)
  local list = {}
  for i, path in ipairs(glob.files("*.lua", context.config.seeds.path)) do
    list[i] = { name = path:match("([^/]+)%.lua$"), path = path }
  end
  return list
end

local function read(context, item)
  local file, problem = io.open(item.path, "rb")
  if not file then fail(context, item, "the file cannot be read: " .. problem) end
  local text = file:read("*a")
  file:close()
  return text
end

local rules = { context = options.text, run = options.func }

-- What a file gave: { run =, context = }.
local function checked(context, item, value)
  if type(value) == "function" then value = { run = value } end
  if type(value) ~= "table" then
    fail(context, item, ("'%s' must return a function (em, seed), or { context = \"%s\", run = function(em, seed) ... "
      .. "end }; it gave %s"):format(item.path, context.name, value == nil and "nothing" or options.describe(value)))
  end
  options.check(value, rules, function(message) fail(context, item, ("'%s': %s"):format(item.path, message)) end)
  if not value.run then fail(context, item, ("'%s': option 'run' is missing, the function that fills tables"):format(
    item.path)) end
  if value.context and value.context ~= context.name then
    fail(context, item, ("'%s' was written for context %s and is not run against '%s'; put it into that context's "
      .. "directory, or run it with --context %s"):format(item.path, errors.quote(value.context), context.name,
      value.context))
  end
  return value
end

---Loads a seed, once. Raises `migration`, with the file and the line of what is wrong.
---@param context table
---@param item table of `list`
---@return table seed { run, context }
function files.load(context, item)
  if item.seed then return item.seed end
  local chunk, problem = compat.load(read(context, item):gsub("^#[^\n]*", ""), "@" .. item.path)
  if not chunk then fail(context, item, problem) end
  local ok, value = pcall(chunk)
  if not ok then
    if errors.is_error(value) then error(value, 0) end
    fail(context, item, tostring(value), value)
  end
  item.seed = checked(context, item, value)
  return item.seed
end

return files
