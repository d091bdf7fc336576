--- Errors as the command tells them: what happened and what to do, a traceback only where one was asked for.
local errors = require("heddle.errors")
local output = require("heddle.cli.output")

local report = { INTERRUPTED = 130 }

---Where the fault is, unless the message says so: the file of the entity instead of a place in the command itself,
---which helps nobody.
---@param err heddle.Error
---@return string|nil
function report.place_of(err)
  local place = err.where
  if not place or place:find("heddle:%d+$") then place = err.source end
  return place and not err.message:find(place, 1, true) and place or nil
end

local function indented(text)
  return (tostring(text):gsub("%s+$", ""):gsub("\n", "\n    "))
end

local function plain(text)
  return (text:gsub("%s+", " "))
end

-- What else is known: the database's own words, each once.
local function more_of(err)
  local lines, said = {}, plain(err.message)
  for _, name in ipairs({ "cause", "detail", "hint", "sql" }) do
    local value = err[name]
    if errors.is_error(value) then value = value.message .. more_of(value) end
    if type(value) == "string" and value ~= "" and not said:find(plain(value), 1, true) then
      lines[#lines + 1] = ("\n  %s: %s"):format(name, indented(value))
      said = said .. " " .. plain(value)
    end
  end
  return table.concat(lines)
end

---Whether an error is Ctrl-C: the interpreter's own, or one that others have made theirs.
---@param err any
---@return boolean
function report.is_interrupted(err)
  local cause = errors.is_error(err) and err.cause
  return tostring(err):find("interrupted!", 1, true) ~= nil
    or type(cause) == "string" and cause:find("interrupted!", 1, true) ~= nil
end

local function tell(streams, args, err, trace)
  local style = output.style(streams, "stderr", args.no_color)
  local function write(...) streams.stderr:write(style.red("heddle:"), " ", ...) end
  if type(err) == "table" and err.heddle_exit then
    if err.message then write(err.message, "\n") end
    return err.heddle_exit
  end
  if report.is_interrupted(err) then
    write(errors.is_error(err) and err.message or "interrupted; what was under way has been taken back", "\n")
    return report.INTERRUPTED
  end
  if errors.is_error(err) then
    local place = report.place_of(err)
    write(err.message, more_of(err), place and "\n  at " .. place or "", "\n")
  else
    write(tostring(err), "\n")
  end
  if args.debug then
    streams.stderr:write((type(err) == "table" and err.traceback) or trace or "", "\n")
  elseif not errors.is_error(err) then
    streams.stderr:write("  --debug shows a traceback\n")
  end
  return 1
end

---Runs a function; what it raises is told on standard error.
---@param streams table
---@param args table of the command line (`debug`, `no_color`)
---@return boolean ok
---@return any result the function's, or an exit code
function report.protect(streams, args, fn, ...)
  local given, count, trace = { ... }, select("#", ...), nil
  local unpack = require("heddle.compat").unpack
  local ok, result = xpcall(function() return fn(unpack(given, 1, count)) end, function(err)
    trace = debug.traceback("", 2)
    return err
  end)
  if ok then return true, result end
  return false, tell(streams, args, result, trace)
end

return report
