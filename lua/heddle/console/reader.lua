--- Where a console's lines come from: on a terminal lua-readline or linenoise, where one is there; else plain reading.
---
--- A reader is a function (prompt) that gives a line, or nil at the end. It may raise "interrupted!" (Ctrl-C).
local complete = require("heddle.console.complete")

local reader = {}

local KEPT = 1000

-- History --------------------------------------------------------------------------------------------------

local function quote(path)
  return "'" .. path:gsub("'", "'\\''") .. "'"
end

---The file that keeps what was typed, its directory made where it is not there; nil where there is no home.
---@return string|nil
function reader.history_file()
  local state = os.getenv("XDG_STATE_HOME")
  if not state or state:sub(1, 1) ~= "/" then
    local home = os.getenv("HOME")
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  local directory = state .. "/heddle"
  -- What is typed may hold what others shall not read.
  os.execute(("mkdir -p %s 2>/dev/null && mkdir -m 700 %s 2>/dev/null"):format(quote(state), quote(directory)))
  return directory .. "/history"
end

-- Modules --------------------------------------------------------------------------------------------------

local function with_readline(rl, session, history)
  rl.set_readline_name("heddle")
  rl.set_options({ keeplines = KEPT, histfile = history or "", auto_add = false, completion = true })
  rl.set_complete_function(function(text, from, to)
    local line = text:sub(1, to)
    local candidates, start = complete.candidates(session, line)
    local list = {}
    -- What the module takes for a word may begin earlier.
    for i, word in ipairs(candidates) do list[i] = line:sub(from, start - 1) .. word end
    return list
  end)
  return {
    read = function(prompt) return rl.readline(prompt) end,
    keep = function(text) if history then rl.add_history(text) end end,
    close = function() if history then rl.save_history() end end,
  }
end

local function with_linenoise(ln, session, history)
  ln.setcompletion(function(completions, line)
    local candidates, start = complete.candidates(session, line)
    for _, word in ipairs(candidates) do completions:add(line:sub(1, start - 1) .. word) end
  end)
  if history then
    ln.historysetmaxlen(KEPT)
    pcall(ln.historyload, history)
  end
  return {
    read = function(prompt)
      local line, problem = ln.linenoise(prompt)
      if not line and problem then error("interrupted!", 0) end
      return line
    end,
    keep = function(text) if history then ln.historyadd(text) end end,
    close = function() if history then ln.historysave(history) end end,
  }
end

local function plain(streams, is_terminal)
  return {
    read = function(prompt)
      if is_terminal then
        streams.stdout:write(prompt)
        if streams.stdout.flush then streams.stdout:flush() end
      end
      local line, problem = streams.stdin:read("*l")
      if not line and problem then error("interrupted!", 0) end
      return line
    end,
    keep = function() end,
    close = function() end,
  }
end

---A source of lines.
---@param session heddle.console.Session
---@param opts { is_terminal: boolean, history: boolean }
---@return table reader { read(prompt), keep(text), close() }
function reader.open(session, opts)
  if opts.is_terminal then
    local history = opts.history and reader.history_file() or nil
    local ok, module = pcall(require, "readline")
    if ok and type(module) == "table" and module.set_complete_function then
      return with_readline(module, session, history)
    end
    ok, module = pcall(require, "linenoise")
    if ok and type(module) == "table" and module.linenoise then return with_linenoise(module, session, history) end
  end
  return plain(session.streams, opts.is_terminal)
end

return reader
