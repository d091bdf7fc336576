--- The command `heddle`: `os.exit(require("heddle.cli").main(arg))`.
---
--- A group of commands is a module `heddle.cli.<group>`, a list with a `title`, of
---
---     { name = "migrate:status", summary = "One line.", description = "More."?,
---       examples = { { "heddle migrate:status --check", "what it does" }, ... },
---       arguments = function(parser) parser:flag("--check"):description("...") end,     -- parser: argparse's
---       run = function(app, args) ... end,                                               -- an exit code, or nil for 0
---       tells_pending = true }                                         -- says what is pending in the other contexts
---
--- `app` is cli/app.lua. Exit codes: 0 done, 1 failed (or a check found something), 2 used in a wrong way, 130
--- interrupted.
local new_app = require("heddle.cli.app")
local parser = require("heddle.cli.parser")
local report = require("heddle.cli.report")

local cli = {}

-- The groups, in the order in which help shows them.
local groups = { "project_init", "migrate", "schema", "generate", "seed", "console", "debug", "completion" }

local function load_groups()
  local loaded = {}
  for i, name in ipairs(groups) do loaded[i] = require("heddle.cli." .. name) end
  return loaded
end

---The grammar with every command (see cli/parser.lua).
function cli.grammar()
  return parser.build(load_groups())
end

local function answer(streams, instead)
  if instead.help then
    streams.stdout:write(instead.help, "\n")
    return 0
  elseif instead.version then
    streams.stdout:write(require("heddle")._VERSION, " (", _VERSION, ")\n")
    return 0
  end
  streams.stderr:write("heddle: ", instead.message, "\n\n", instead.usage, "\n")
  return 2
end

local function close(app)
  for _, made in pairs(app.made) do
    if made.ok then pcall(made.result.close, made.result) end
  end
end

local function run(streams, made, args)
  local app, command = new_app(streams, args), made.by_name[args.command].command
  app.grammar = made
  local _, code = report.protect(streams, args, function()
    -- The interpreter's own way cannot break off a statement of SQLite.
    require("heddle.core").interrupts(streams == io)
    local code = command.run(app, args) or 0
    if command.tells_pending then require("heddle.cli.pending").tell(app) end
    return code
  end)
  close(app)
  require("heddle.core").interrupts(false)
  return code
end

---Runs a command line.
---@param arguments string[] as `arg`
---@param streams? table as `io` (the default): { stdin =, stdout =, stderr =, is_terminal = fun(name): boolean? }
---@return integer code
function cli.main(arguments, streams)
  streams = streams or io
  local _, code = report.protect(streams, {}, function()
    local made = cli.grammar()
    local args, instead = parser.read(made, arguments)
    if args then return run(streams, made, args) end
    return answer(streams, instead)
  end)
  return code
end

return cli
