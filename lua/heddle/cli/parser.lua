--- The command line's grammar: options that every command takes, the commands' own, help with examples.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local suggest = require("heddle.suggest")

local parser = {}

local COMMON = [[
Options of every command:
   -c, --config FILE     The configuration (default: orm.config.lua). May be given several times.
       --context NAME    The context to act on (default: "default", or the only one).
       --all             Act on every context.
       --debug           Errors with a traceback.
       --no-color        No colours (NO_COLOR does the same).
   -h, --help            This text.]]

local function examples_of(command)
  local lines, width = {}, 0
  for _, example in ipairs(command.examples or {}) do
    if type(example) == "table" then width = math.max(width, #example[1]) end
  end
  for i, example in ipairs(command.examples or {}) do
    if type(example) == "string" then example = { example } end
    lines[i] = "   " .. (example[2] and ("%-" .. width .. "s   %s"):format(example[1], example[2]) or example[1])
  end
  return #lines > 0 and ("Examples:\n" .. table.concat(lines, "\n") .. "\n\n") or ""
end

local function add_common(root, stop)
  root:option("-c --config"):args(1):count("*"):argname("FILE"):hidden(true)
  root:option("--context"):args(1):argname("NAME"):hidden(true)
  root:flag("--all"):hidden(true)
  root:flag("--debug"):hidden(true)
  root:flag("--no-color"):hidden(true)
  root:flag("-h --help"):hidden(true):action(function(result) stop({ help = result.command or true }) end)
  root:flag("--version"):description("Show the version."):action(function() stop({ version = true }) end)
end

local function load_argparse()
  local ok, argparse = pcall(require, "argparse")
  if ok then return argparse end
  errors.raise("config", "the command line needs the Lua module 'argparse'; install it: luarocks install argparse, or "
    .. "apt-get install lua-argparse", { cause = argparse })
end

---The parser of some groups of commands.
---@param groups table[] lists of commands, each with a `title`
---@return table made { root, by_name = { name -> { command, parser } }, names }
function parser.build(groups)
  local made = { by_name = {}, names = {} }
  local function stop(what) error(what, 0) end
  local root = load_argparse()("heddle"):add_help(false):require_command(false):command_target("command")
    :help_max_width(100):usage_max_width(100):help_description_margin(22)
    :usage("Usage: heddle COMMAND [--config FILE] [--context NAME] [options]")
    :description("Schema, migrations and more for programs that use Heddle.")
  add_common(root, stop)
  for _, group in ipairs(groups) do
    local parsers = {}
    for _, command in ipairs(group) do
      local own = root:command(command.name):add_help(false):summary(command.summary)
        :description(command.description or command.summary)
        :hidden(command.hidden == true)
      if command.arguments then command.arguments(own) end
      made.by_name[command.name] = { command = command, parser = own }
      if not command.hidden then made.names[#made.names + 1] = command.name end
      parsers[#parsers + 1] = own
    end
    root:group(group.title, compat.unpack(parsers))
  end
  -- What argparse calls for wrong usage, with the parser whose usage it was.
  root.error = function(where, message) stop({ message = message, usage = where:get_usage() }) end
  made.root = root
  return made
end

-- argparse knows names that differ by one letter; ours differ by more now and then.
local function mended(made, message)
  local kind, name = message:match("^unknown (%a+) '([^'\n]*)'")
  if kind == "command" then return ("unknown command '%s'%s"):format(name, suggest.hint(name, made.names)) end
  return (message:gsub("\nDid you mean (.*)%?$", " (did you mean %1?)"))
end

-- argparse would wrap the examples.
local function help_of(made, name)
  local named = made.by_name[name]
  if named then return named.parser:get_help() .. "\n\n" .. examples_of(named.command) .. COMMON end
  return made.root:get_help() .. "\n\n" .. COMMON .. "\n\n`heddle COMMAND --help` says more, with examples."
end

---Reads a command line.
---@param made table of `build`
---@param arguments string[]
---@return table|nil args with `command`; nil when it is not to be run
---@return table|nil instead { help = text } | { version = true } | { message, usage }
function parser.read(made, arguments)
  local given = {}
  for i, word in ipairs(arguments) do given[i] = word end
  local ok, result = pcall(made.root.parse, made.root, given)
  if ok and result.command then return result end
  if ok then return nil, { message = "a command is required", usage = help_of(made) } end
  if type(result) ~= "table" then error(result, 0) end
  if result.help then return nil, { help = help_of(made, result.help) } end
  if result.message then result.message = mended(made, result.message) end
  return nil, result
end

return parser
