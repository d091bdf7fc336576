--- The console: reads Lua, runs it against the contexts, shows what it gave, until there is no more.
---
--- Everything happens in one request scope, so that `em` is an entity manager of the console's own, whatever the
--- configuration says of the global one.
local commands = require("heddle.console.commands")
local core = require("heddle.core")
local output = require("heddle.cli.output")
local reader = require("heddle.console.reader")
local scope = require("heddle.scope")
local session_room = require("heddle.console.session")

local console = {}

local PROMPT, MORE = "heddle> ", "     >> "

-- One line; "interrupted" in its place where Ctrl-C was pressed.
local function next_line(lines, prompt)
  local ok, line = pcall(lines.read, prompt)
  if ok then return line end
  if session_room.is_interrupt(line) then return nil, "interrupted" end
  error(line, 0)
end

-- Takes a line to what was typed before it; gives what is still unfinished.
local function take(session, lines, pending, line)
  if not pending and commands.is_command(line) then
    lines.keep(line)
    commands.run(session, line)
    return nil
  end
  local text = pending and pending .. "\n" .. line or line
  if not text:find("%S") then return nil end
  if session:run(text) == "incomplete" then return text end
  lines.keep(text)
  return nil
end

local function step(session, lines, pending, is_terminal)
  local line, problem = next_line(lines, pending and MORE or PROMPT)
  if problem then
    if is_terminal then session:say("") end
    return nil
  end
  if line then return take(session, lines, pending, line) end
  if pending then session:run_whole(pending) end
  if is_terminal then session:say("") end
  session.is_over = true
end

local function loop(session, opts)
  local is_terminal = output.is_terminal(session.streams, "stdin")
  local lines = reader.open(session, { is_terminal = is_terminal, history = opts.history })
  if is_terminal then
    session:say(session.style.dim(("%s on %s; .help says more, Ctrl-D ends"):format(require("heddle")._VERSION,
      _VERSION)))
  end
  local pending
  while not session.is_over do
    local ok, result = pcall(step, session, lines, pending, is_terminal)
    if not ok and not session_room.is_interrupt(result) then error(result, 0) end
    pending = ok and result or nil
  end
  pcall(lines.close)
  return is_terminal
end

local function work(session, opts)
  local is_terminal = false
  if opts.execute or opts.file then
    local ok = not opts.execute or session:run_whole(opts.execute)
    if ok and opts.file then session:run_file(opts.file) end
  else
    is_terminal = loop(session, opts)
  end
  for _, line in ipairs(session:pending()) do
    session.streams.stderr:write(session.err_style.yellow("warning: "), line, "\n")
  end
  session:show_sql(false)
  -- Who types has seen each error; a program that feeds the console has the exit code.
  return (is_terminal or session.failures == 0) and 0 or 1
end

---Runs a console.
---@param opts { contexts: table[], streams: table|nil, execute: string|nil, file: string|nil, history: boolean|nil,
---is_plain: boolean|nil } the first context is the one of `em`; `streams` as `io`, the default; `is_plain`: no colours
---@return integer code 0, or 1 when something failed and nobody was there to see it
function console.run(opts)
  local streams = opts.streams or io
  local session = session_room.new({ contexts = opts.contexts, streams = streams, is_plain = opts.is_plain })
  core.interrupts(streams == io)
  local ok, result = pcall(scope.request_context, work, session, opts)
  core.interrupts(false)
  if not ok then error(result, 0) end
  return result
end

return console
