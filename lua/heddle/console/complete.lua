--- What could stand at the end of a line: names, fields, properties, methods, commands.
local class = require("heddle.class")
local commands = require("heddle.console.commands")
local instance = require("heddle.instance")

local complete = {}

local function words(text)
  local list = {}
  for word in text:gmatch("%S+") do list[#list + 1] = word end
  return list
end

local MANAGER = words([[assign begin changes clear commit contains count create delete_where detach execute find
  find_all find_and_count find_by_cursor find_one find_one_or_fail flush fork get_reference in_transaction insert
  insert_many load lock map merge persist persist_and_flush query refresh remove remove_and_flush repository rollback
  stream transactional update_where upsert upsert_many]])
local COLLECTION = words([[add remove set remove_all contains count items iter load load_count matching is_initialized
  is_dirty]])
local INSTANCE = words("connect check_connection pool_stats close on")
local KEYWORDS = words([[and break do else elseif end false for function if in local nil not or repeat return then true
  until while]])

-- Keys of a table and of what answers for it.
local function add_keys(found, value)
  local depth = 0
  while type(value) == "table" and depth < 8 do
    for key in pairs(value) do
      if type(key) == "string" and key:find("^[%a_][%w_]*$") then found[key] = true end
    end
    local meta = debug.getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
    depth = depth + 1
  end
end

local function add_list(found, list)
  for _, name in ipairs(list) do found[name] = true end
end

local function add_properties(found, definition)
  for _, prop in ipairs(definition.properties) do found[prop.name] = true end
end

-- What may follow a value.
local function members_of(value)
  local found = {}
  local meta = debug.getmetatable(value)
  local kind = type(meta) == "table" and rawget(meta, "__name")
  if instance.meta_of(value) then
    add_properties(found, getmetatable(value).definition)
    add_keys(found, getmetatable(value).class)
  elseif kind == "heddle.em" then
    add_list(found, MANAGER)
  elseif kind == "heddle.instance" then
    add_list(found, INSTANCE)
    add_list(found, { "config", "em", "schema", "migrator", "seeder", "context_name" })
  elseif type(value) == "userdata" then
    add_list(found, COLLECTION)
  elseif type(value) == "string" then
    add_keys(found, string)
  elseif type(value) == "table" then
    add_keys(found, value)
    if value == package.loaded.heddle then add_list(found, { "fake", "factory" }) end
  end
  return found
end

-- Follows a path of names; nothing is called, and nothing that raises is looked at twice.
local function follow(env, path)
  local value = env
  for name in path:gmatch("[%a_][%w_]*") do
    local ok, inner = pcall(function() return value[name] end)
    if not ok or inner == nil then return nil end
    value = inner
  end
  return value
end

local function globals(env)
  local found = {}
  add_keys(found, env)
  add_list(found, KEYWORDS)
  return found
end

-- The entity whose filter or data the line's end is in: "em:find(User, { na".
local function entity_here(env, before)
  local name, rest = before:match("^.*%(%s*([%a_][%w_]*)%s*,%s*(.*)$")
  if not name then name, rest = before:match("^.-([%a_][%w_]*)%s*(%{[^}]*)$") end
  if not name or not rest:find("[{,]%s*$") then return nil end
  return class.definition_of(rawget(env, name))
end

local function select(found, prefix, before)
  local list = {}
  for name in pairs(found) do
    local is_meant = name:sub(1, #prefix) == prefix and (prefix ~= "" or name:sub(1, 1) ~= "_")
    if is_meant then list[#list + 1] = before .. name end
  end
  table.sort(list)
  return list
end

local function of_command(session, line)
  local command, space, word = line:match("^%s*%.(%a*)(%s*)(.*)$")
  local found = {}
  if space == "" then
    for _, each in ipairs(commands.list) do found[each.name] = true end
    return select(found, command, "."), line:find("%.")
  end
  if command == "sql" then add_list(found, { "on", "off" }) end
  for _, context in ipairs(command == "describe" and session.contexts or {}) do
    for name in pairs(context.mappings.by_name) do found[name] = true end
  end
  return select(found, word, ""), #line - #word + 1
end

---The words that the end of a line may become, and where the word that they replace begins.
---@param session heddle.console.Session
---@param line string up to the cursor
---@return string[] candidates
---@return integer start
function complete.candidates(session, line)
  if commands.is_command(line) or line:find("^%s*%.$") then return of_command(session, line) end
  local start = line:find("[%w_%.:]*$")
  local token, before = line:sub(start), line:sub(1, start - 1)
  local path, mark, prefix = token:match("^(.*)([%.:])([%w_]*)$")
  if path then
    local value = path:find("^[%a_]") and follow(session.env, path)
    if value == nil or value == false then return {}, start end
    return select(members_of(value), prefix, path .. mark), start
  end
  local definition = entity_here(session.env, before)
  if definition then
    local found = {}
    add_properties(found, definition)
    return select(found, token, ""), start
  end
  if token == "" then return {}, start end
  return select(globals(session.env), token, ""), start
end

return complete
