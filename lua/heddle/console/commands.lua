--- What a line that begins with a dot does.
local errors = require("heddle.errors")
local output = require("heddle.cli.output")
local relation = require("heddle.relation")
local suggest = require("heddle.suggest")

local commands = {}

local function table_of(session, rows, columns)
  for _, line in ipairs(output.table(rows, columns, session.style)) do session:say(line) end
end

local list = {}

local function define(name, usage, summary, run)
  list[#list + 1] = { name = name, usage = usage, summary = summary, run = run }
  list[name] = list[#list]
end

define("help", "", "this list", function(session)
  session:say("Any line is Lua; what an expression gives is shown and stands in _. Unfinished lines go on.")
  local rows = {
    { "em, em_NAME, em_of[NAME]", "entity managers of the contexts" }, { "orm, op", "Heddle, and the operators" },
    { "User, ...", "the entities by name" },
    { "begin() commit() rollback() flush()", "of `em`; of another context with its name" },
  }
  for _, command in ipairs(list) do rows[#rows + 1] = { "." .. command.name .. command.usage, command.summary } end
  local width = 0
  for _, row in ipairs(rows) do width = math.max(width, #row[1]) end
  for _, row in ipairs(rows) do
    session:say("  " .. session.style.cyan(row[1]) .. (" "):rep(width - #row[1] + 2) .. row[2])
  end
end)

define("contexts", "", "the contexts and their databases", function(session)
  local rows = {}
  for i, context in ipairs(session.contexts) do
    local entities = 0
    for _ in pairs(context.mappings.by_name) do entities = entities + 1 end
    rows[i] = { context.name, "em_" .. context.name:gsub("[^%w_]", "_"), context.driver_name, context.config.database,
      context.config.host, entities }
  end
  table_of(session, rows, { "Context", "Name here", "Driver", "Database", "Host", { "Entities", align = "right" } })
end)

define("entities", "", "the entities of every context", function(session)
  local rows = {}
  for _, context in ipairs(session.contexts) do
    local names = {}
    for name in pairs(context.mappings.by_name) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      local map = context.mappings.by_name[name]
      local note = session.env[name] == map.class and ""
        or ("not as a global: em_of[%q]:find(%q, {})"):format(context.name, name)
      rows[#rows + 1] = { name, context.name, map.source and "(expression)" or map.table, #map.list, note }
    end
  end
  table_of(session, rows, { "Entity", "Context", "Table", { "Properties", align = "right" }, "" })
end)

-- describe -------------------------------------------------------------------------------------------------

local function find_mapping(session, name)
  local names = {}
  for _, context in ipairs(session.contexts) do
    local map = context.mappings.by_name[name]
    if map then return map end
    for each in pairs(context.mappings.by_name) do names[#names + 1] = each end
  end
  return nil, ("there is no entity %s%s; .entities lists them"):format(errors.quote(name), suggest.hint(name, names))
end

local function type_of(prop)
  if prop.kind ~= "scalar" then
    return ("%s %s"):format(prop.kind, prop.kind == "embedded" and tostring(prop.target) or relation.target_name(prop))
  end
  local size = prop.length or prop.precision and (prop.precision .. "," .. (prop.scale or 0))
  local base = prop.array_of and "array of " .. prop.array_of or prop.cast or prop.type
  if prop.enum then base = "enum " .. table.concat(prop.enum, "|") end
  return tostring(base) .. (size and ("(%s)"):format(size) or "")
end

local function notes_of(prop)
  local notes = {}
  for _, option in ipairs({ "primary", "unique", "version", "lazy", "hidden", "generated" }) do
    if prop[option] then notes[#notes + 1] = option end
  end
  if prop.default ~= nil or prop.default_sql then notes[#notes + 1] = "default" end
  if prop.mapped_by then notes[#notes + 1] = "mapped by " .. prop.mapped_by end
  if prop.on_delete then notes[#notes + 1] = "on delete " .. prop.on_delete end
  return table.concat(notes, ", ")
end

local function columns_of(map, view)
  local names = {}
  for _, column in ipairs(map.columns) do
    if column.property == view.name then names[#names + 1] = column.name end
  end
  return table.concat(names, ", ")
end

define("describe", " ENTITY", "an entity's properties and columns", function(session, name)
  if name == "" then return "which entity? .describe User" end
  local map, problem = find_mapping(session, name)
  if not map then return problem end
  session:say(session.style.bold(map.name) .. (" (context '%s', table %s)"):format(map.context,
    map.source and "of an expression" or map.table))
  local rows = {}
  for i, view in ipairs(map.list) do
    rows[i] = { view.name, type_of(view.prop), columns_of(map, view), view.prop.nullable and "null" or "",
      notes_of(view.prop) }
  end
  table_of(session, rows, { "Property", "Type", "Column", "", "" })
end)

-- Others ---------------------------------------------------------------------------------------------------

define("sql", " on|off", "show each statement, or not", function(session, word)
  if word ~= "on" and word ~= "off" then return ".sql takes on or off" end
  session:show_sql(word == "on")
end)

define("changes", "", "what a flush would write", function(session)
  local lines = session:pending()
  for _, line in ipairs(lines) do session:say(line) end
  if #lines == 0 then session:say("nothing is pending") end
end)

define("clear", "", "forget what was loaded and what is pending", function(session)
  for _, context in ipairs(session.contexts) do session.env.em_of[context.name]:clear() end
end)

define("exit", "", "leave (Ctrl-D does the same)", function(session)
  session.is_over = true
end)

commands.list = list

---Whether a line is a command: ".5 + 1" is none.
---@param line string
---@return boolean
function commands.is_command(line)
  return line:find("^%s*%.%a") ~= nil
end

---Runs a command; what is wrong is told.
---@param session heddle.console.Session
---@param line string
function commands.run(session, line)
  local name, rest = line:match("^%s*%.(%a+)%s*(.-)%s*$")
  local command = list[name]
  local ok, problem
  if command then
    ok, problem = pcall(command.run, session, rest)
    if not ok then return session:tell(problem) end
  else
    local names = {}
    for i, each in ipairs(list) do names[i] = each.name end
    problem = ("there is no command .%s%s; .help lists them"):format(name, suggest.hint(name, names))
  end
  if problem then session:tell(problem) end
end

return commands
