--- `.snapshot.json`: what the entities asked for when the last migration was made, beside the migrations. Sorted and
--- one thing to a line, so that two branches merge as their code does.
local core = require("heddle.core")
local failure = require("heddle.migrations.failure")
local files = require("heddle.migrations.files")
local options = require("heddle.options")
local write = require("heddle.migrations.write")

local snapshot = {}

local FORMAT = 1

function snapshot.path(directory)
  return directory .. "/.snapshot.json"
end

-- JSON that people read -----------------------------------------------------------------------------------------

local encode

local function is_list(value)
  return next(value) == nil or value[1] ~= nil
end

local function is_flat(value)
  for _, item in pairs(value) do
    if type(item) == "table" then return false end
  end
  return true
end

-- Names first.
local function keys_of(value)
  local keys = {}
  for _, key in ipairs(options.sorted_keys(value)) do
    if key ~= "name" then keys[#keys + 1] = key end
  end
  if value.name ~= nil then table.insert(keys, 1, "name") end
  return keys
end

local function items_of(value, indent)
  local items = {}
  if is_list(value) then
    for i, item in ipairs(value) do items[i] = encode(item, indent) end
    return items, "[", "]"
  end
  for i, key in ipairs(keys_of(value)) do items[i] = core.encode(key) .. ": " .. encode(value[key], indent) end
  return items, "{", "}"
end

function encode(value, indent)
  if type(value) ~= "table" then return core.encode(value) end
  local inner = indent .. "  "
  local items, open, close = items_of(value, inner)
  if #items == 0 then return open .. close end
  if is_flat(value) then
    local space = open == "{" and " " or ""
    return open .. space .. table.concat(items, ", ") .. space .. close
  end
  return open .. "\n" .. inner .. table.concat(items, ",\n" .. inner) .. "\n" .. indent .. close
end

---The text of a snapshot.
---@param model table
---@param context_name string
---@return string
function snapshot.text(model, context_name)
  return encode({ context = context_name, driver = model.driver, format = FORMAT, tables = model.tables,
    views = model.views }, "") .. "\n"
end

-- Reading ------------------------------------------------------------------------------------------------------

local function check(made, path, context)
  local function refuse(message)
    failure.refuse(context.name, ("'%s' %s; put it back, or remove it and create from the database"):format(path,
      message), { file = path })
  end
  if type(made) ~= "table" or type(made.tables) ~= "table" or type(made.views) ~= "table" then
    refuse("is no snapshot")
  elseif made.format ~= FORMAT then
    refuse("has another format than this version of Heddle writes")
  elseif made.context ~= context.name then
    refuse(("is of context '%s'"):format(tostring(made.context)))
  elseif made.driver ~= context.driver_name then
    refuse(("was made for %s, and this context is %s"):format(tostring(made.driver), context.driver_name))
  end
end

---The model that was kept, nil when there is none. Raises `migration`.
---@param directory string
---@param context table
---@return table|nil model
function snapshot.read(directory, context)
  local path = snapshot.path(directory)
  local text = files.read(path)
  if not text then return nil end
  local ok, made = pcall(core.decode, text)
  if not ok then
    failure.refuse(context.name, ("'%s' is not JSON (did a merge leave its marks?): mend it, or remove it and create "
      .. "from the database"):format(path), { file = path, cause = made })
  end
  check(made, path, context)
  return { driver = made.driver, tables = made.tables, views = made.views }
end

---Keeps a model.
function snapshot.write(directory, model, context_name)
  write.replace(snapshot.path(directory), snapshot.text(model, context_name), context_name)
end

return snapshot
