--- The configurations that a command works with: files that return one, or a list of them.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local options = require("heddle.options")
local report = require("heddle.cli.report")

local project = { default_file = "orm.config.lua" }

local function fail(message, cause)
  errors.raise("config", message, { cause = cause })
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

local function base_of(path)
  return path:match("^(.*)/[^/]*$") or ""
end

-- What files of the project require is found beside its configuration, wherever the command was started.
local function reach(base)
  local template = (base == "" and "." or base) .. "/?.lua"
  if (";" .. package.path .. ";"):find(";" .. template .. ";", 1, true) then return end
  package.path = package.path .. ";" .. template .. ";" .. (template:gsub("%.lua$", "/init.lua"))
end

-- Errors keep what Heddle says of them; any other is the file's own and carries its line.
local function run(path, chunk)
  local trace
  local ok, result = xpcall(chunk, function(err)
    trace = debug.traceback("", 2)
    return err
  end)
  if ok then return result end
  if errors.is_error(result) then
    result.traceback = result.traceback or trace
    error(result, 0)
  end
  if report.is_interrupted(result) then error(result, 0) end
  local text = tostring(result)
  local err = errors.new("config", text:find(path, 1, true) and text or (path .. ": " .. text), { cause = result })
  err.where, err.traceback = nil, trace
  error(err, 0)
end

-- What a file returned, as a list.
local function listed(path, value)
  if type(value) ~= "table" or errors.is_error(value) then
    fail(("%s: the file must return a configuration, the table that orm.init takes, or a list of them; it gave %s")
      :format(path, value == nil and "nothing" or options.describe(value)))
  end
  if rawget(value, "context_name") ~= nil and type(rawget(value, "config")) == "table" then
    fail(("%s: the file gave an instance; it must return the table that orm.init takes, and leave the call to "
      .. "the program"):format(path))
  end
  if #value == 0 then
    if next(value) == nil then fail(path .. ": the file returned an empty table; it must return a configuration") end
    return { value }
  end
  for position, item in ipairs(value) do
    if type(item) ~= "table" then
      fail(("%s: item %d of the list must be a configuration, a table; it is %s"):format(path, position,
        options.describe(item)))
    end
  end
  for key in pairs(value) do
    if type(key) ~= "number" then
      fail(("%s: the file must return one configuration or a list of them; this list has a key %s too"):format(path,
        errors.quote(key)))
    end
  end
  return value
end

local function load_file(path)
  local text = read(path)
  if not text then
    if path == project.default_file then
      fail(("there is no %s here: `heddle init` makes one, `--config FILE` names another"):format(path))
    end
    fail(("the configuration file '%s' cannot be read; is the path right? `heddle init` makes a project"):format(path))
  end
  local chunk, problem = compat.load(text:gsub("^#[^\n]*", ""), "@" .. path)
  if not chunk then
    local err = errors.new("config", problem, { cause = problem })
    err.where = nil
    error(err, 0)
  end
  reach(base_of(path))
  return listed(path, run(path, chunk))
end

---The configurations of some files, in order. Raises `config`.
---@param files string[]|nil default { "orm.config.lua" }
---@return table[] entries { name, config, file, base }
function project.load(files)
  local entries, by_name = {}, {}
  if not files or #files == 0 then files = { project.default_file } end
  for _, path in ipairs(files) do
    for _, config in ipairs(load_file(path)) do
      local name = config.context_name
      if name == nil then name = "default" end
      local other = by_name[name]
      if other then
        fail(("context %s is configured twice: %s; give one of them another context_name"):format(errors.quote(name),
          other.file == path and "both times in " .. path or ("in %s and in %s"):format(other.file, path)))
      end
      local entry = { name = name, config = config, file = path, base = base_of(path) }
      by_name[name] = entry
      entries[#entries + 1] = entry
    end
  end
  return entries
end

return project
