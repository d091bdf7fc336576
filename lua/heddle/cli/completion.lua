--- Completion in the shell: `heddle completion bash` prints a script, which asks `heddle complete` at each tab.
---
--- What argparse writes by itself cannot be used: it refuses names with colons, and it knows neither the contexts of a
--- project nor its migrations. So the shells have one short script each, and all else is answered here.
local errors = require("heddle.errors")
local scripts = require("heddle.cli.completion_scripts")

-- What an option takes is told by the name of its argument.
local FILES = { FILE = true, DIRECTORY = true, DIR = true }

-- ---- Words ----

local function add(found, word, description)
  found[#found + 1] = { word, description }
end

local function add_all(found, words)
  for _, word in ipairs(words) do add(found, word) end
end

local values = {}

-- Without saying anything: a tab is no place for errors.
local function quietly(fn)
  local ok, result = pcall(fn)
  return ok and result or {}
end

---Names of the contexts that the configuration has.
function values.NAME(app)
  return quietly(function()
    local names = {}
    for i, entry in ipairs(app:entries()) do names[i] = tostring(entry.name) end
    return names
  end)
end

---Names of the migrations, off their files: no database is asked.
function values.MIGRATION(app)
  return quietly(function()
    local names, seen = {}, {}
    for file in require("lfs").dir(app:contexts()[1].config.migrations.path) do
      local name = file:match("^(%d.*)%.up%.sql$") or file:match("^(%d.*)%.down%.sql$") or file:match("^(%d.*)%.lua$")
      if name and not seen[name] then
        seen[name], names[#names + 1] = true, name
      end
    end
    table.sort(names)
    return names
  end)
end

---Names of the seeds of the context.
function values.SEED(app)
  return quietly(function()
    local names = {}
    for i, item in ipairs(app:contexts()[1].seeder:list()) do names[i] = item.name end
    return names
  end)
end

---Names of the entities of the context.
function values.ENTITY(app)
  return quietly(function()
    local names = {}
    for i, mapping in ipairs(app:contexts()[1].mappings.list) do names[i] = mapping.name end
    return names
  end)
end

-- What may stand for an argument or for the value of an option: words, or "files".
local function values_of(app, element)
  if element._choices then return element._choices end
  local name = element:_get_argname(1)
  if values[name] then return values[name](app) end
  return FILES[name] and "files" or {}
end

local function find_option(parsers, alias)
  for _, each in ipairs(parsers) do
    for _, option in ipairs(each._options) do
      for _, other in ipairs(option._aliases) do
        if other == alias then return option end
      end
    end
  end
end

local function is_open(option)
  return option and option._maxargs > 0
end

-- Reads the words before the one that is being typed: which command, how many arguments, which option waits for its
-- value.
local function read_before(app, words)
  local root, state = app.grammar.root, { arguments = 0 }
  local parsers = { root }
  for i = 1, #words - 1 do
    local word = words[i]
    if state.waiting then
      if state.waiting._name == "--context" then app.args.context = word end
      if state.waiting._name == "-c" then app.args.config = { word } end
      state.waiting = nil
    elseif word:find("^%-%-[^=]+=") then
      local name, value = word:match("^(%-%-[^=]+)=(.*)$")
      if name == "--context" then app.args.context = value end
      if name == "--config" then app.args.config = { value } end
    elseif word:find("^%-.") then
      local option = find_option(parsers, word)
      if is_open(option) then state.waiting = option end
    elseif not state.command then
      state.command = app.grammar.by_name[word]
      if not state.command then return nil end
      parsers[2] = state.command.parser
    else
      state.arguments = state.arguments + 1
    end
  end
  state.parsers = parsers
  return state
end

local function add_options(found, parsers)
  for _, each in ipairs(parsers) do
    for _, option in ipairs(each._options) do
      add(found, option._aliases[#option._aliases], option._description)
    end
  end
end

local function add_commands(found, app)
  for _, name in ipairs(app.grammar.names) do
    add(found, name, app.grammar.by_name[name].command.summary)
  end
end

---What may stand where the last of the words is being typed.
---@param app heddle.cli.App
---@param words string[] behind `heddle`
---@return table|string found list of { word, description? }, or "files"
local function complete(app, words)
  local state, found, current = read_before(app, words), {}, words[#words] or ""
  if not state then return found end
  local given, head = nil, ""
  if state.waiting then
    given = values_of(app, state.waiting)
  elseif current:find("^%-%-[^=]+=") then
    head = current:match("^%-%-[^=]+=")
    local option = find_option(state.parsers, head:sub(1, -2))
    given = is_open(option) and values_of(app, option) or {}
  elseif current:find("^%-") then
    add_options(found, state.parsers)
  elseif not state.command then
    add_commands(found, app)
  else
    local arguments = state.command.parser._arguments
    local argument = arguments[math.min(state.arguments + 1, #arguments)]
    given = argument and values_of(app, argument) or {}
  end
  if given == "files" then return given end
  for _, word in ipairs(given or {}) do add_all(found, { head .. word }) end
  return found
end

local function run_complete(app, args)
  local words = args.words or {}
  if words[1] == "--" then table.remove(words, 1) end
  local found, current = complete(app, words), words[#words] or ""
  if found == "files" then return app:say(":files") end
  for _, each in ipairs(found) do
    if each[1]:sub(1, #current) == current then
      app:say("%s%s", each[1], each[2] and ("\t" .. each[2]:gsub("%s+", " ")) or "")
    end
  end
end

return {
  title = "Shell",
  {
    name = "completion",
    summary = "Print a completion script for bash, zsh or fish.",
    description = "Prints a script that completes commands, options, contexts and migrations at a tab.",
    examples = {
      { "source <(heddle completion bash)", "in ~/.bashrc" },
      { "heddle completion zsh > ~/.zfunc/_heddle", "a directory of fpath" },
      { "heddle completion fish > ~/.config/fish/completions/heddle.fish" },
    },
    arguments = function(parser)
      parser:argument("shell"):choices({ "bash", "zsh", "fish" }):description("bash, zsh or fish")
    end,
    run = function(app, args)
      if not scripts[args.shell] then errors.raise("config", "no such shell") end
      app.io.stdout:write(scripts[args.shell])
    end,
  },
  {
    name = "complete", hidden = true,
    summary = "What may stand at the end of a line (asked by completion scripts).",
    arguments = function(parser)
      parser:handle_options(false)
      parser:argument("words"):args("*")
    end,
    run = run_complete,
  },
}
