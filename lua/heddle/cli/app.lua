--- What a command is given: the contexts that it acts on, and ways to say something.
---
--- Results go to standard output, everything else (warnings, what is pending elsewhere) to standard error, so that a
--- pipe holds results alone.
local errors = require("heddle.errors")
local output = require("heddle.cli.output")
local project = require("heddle.cli.project")
local report = require("heddle.cli.report")
local suggest = require("heddle.suggest")

---@class heddle.cli.App
---@field io table the streams: stdin, stdout, stderr
---@field args table what was given on the command line
---@field style table colours of standard output (see cli/output.lua)
---@field err_style table colours of standard error
local App = {}
App.__index = App

local function new(streams, args)
  return setmetatable({
    io = streams, args = args, made = {},
    style = output.style(streams, "stdout", args.no_color), err_style = output.style(streams, "stderr", args.no_color),
  }, App)
end

-- Saying ---------------------------------------------------------------------------------------------------

local function formatted(format, ...)
  return select("#", ...) > 0 and format:format(...) or tostring(format)
end

---A line of the result.
---@param format? string default an empty line
function App:say(format, ...)
  self.io.stdout:write(formatted(format or "", ...), "\n")
end

---A line that is no result: progress, what is pending elsewhere.
---@param format string
function App:note(format, ...)
  self.io.stderr:write(formatted(format, ...), "\n")
end

---A warning, on standard error.
---@param format string
function App:warn(format, ...)
  self.io.stderr:write(self.err_style.yellow("warning: "), formatted(format, ...), "\n")
end

---Ends the command with exit code 1 and a message.
---@param format string
function App:fail(format, ...) -- luacheck: no self
  error({ heddle_exit = 1, message = formatted(format, ...) }, 0)
end

---Ends the command with exit code 2: it was used in a wrong way.
---@param format string
function App:misuse(format, ...) -- luacheck: no self
  error({ heddle_exit = 2, message = formatted(format, ...) }, 0)
end

---A table: coloured on a terminal, plain columns in a pipe.
---
---Usage: `app:table({ { "users", 3 } }, { "Table", { "Rows", align = "right" } })`
---@param rows table[]
---@param columns table[]
function App:table(rows, columns)
  for _, line in ipairs(output.table(rows, columns, self.style)) do self:say("%s", line) end
end

---A value as JSON, on one line.
function App:json(value)
  self:say("%s", require("heddle.core").encode(value))
end

---@param name? "stdin"|"stdout"|"stderr" default "stdout"
---@return boolean
function App:is_terminal(name)
  return output.is_terminal(self.io, name or "stdout")
end

---Asks on a terminal; nil where nobody can answer.
---@param question string
---@return string|nil answer without blanks around it
function App:ask(question)
  if not (self:is_terminal("stdin") and self:is_terminal("stderr")) then return nil end
  self.io.stderr:write(question, " ")
  if self.io.stderr.flush then self.io.stderr:flush() end
  local line = self.io.stdin:read("*l")
  return line and line:match("^%s*(.-)%s*$")
end

---Whether something that cannot be taken back may be done: `--yes` (or `--force`), else the terminal is asked; without
---one the command ends.
---@param what string "This drops every table of context 'default'."
function App:confirm(what)
  if self.args.yes or self.args.force then return end
  local answer = self:ask(what .. " Go on? [y/N]")
  if answer == nil then self:misuse("%s Give --yes to do it without being asked.", what) end
  if not answer:lower():find("^y") then self:fail("Nothing was done.") end
end

-- Contexts -------------------------------------------------------------------------------------------------

local function names_of(entries)
  local names = {}
  for i, entry in ipairs(entries) do names[i] = errors.quote(entry.name) end
  return table.concat(names, ", ")
end

---The configurations, loaded once: a list of { name, config, file, base }. Raises `config`.
function App:entries()
  self.configured = self.configured or project.load(self.args.config)
  return self.configured
end

---The instance of a configuration, made at first use; what it raised is raised again.
---@param entry table of `entries`
function App:instance(entry)
  local made = self.made[entry]
  if not made then
    require("heddle")
    local ok, result = xpcall(function() return require("heddle.context").init(entry.config, entry.base) end,
      function(err)
        if errors.is_error(err) then
          err.traceback = err.traceback or debug.traceback("", 2)
          if err.kind == "config" and not report.place_of(err) then err.where = entry.file end
        end
        return err
      end)
    made = { ok = ok, result = result }
    self.made[entry] = made
  end
  if not made.ok then error(made.result, 0) end
  return made.result
end

---The same without raising: nil and the error where it does not load.
---@param entry table
---@return table|nil instance
---@return any err
function App:try_instance(entry)
  local ok, result = pcall(self.instance, self, entry)
  if ok then return result end
  if report.is_interrupted(result) then error(result, 0) end
  return nil, result
end

local function named(self, name)
  local by_name = {}
  for _, entry in ipairs(self:entries()) do
    if entry.name == name then return entry end
    by_name[tostring(entry.name)] = true
  end
  self:misuse("there is no context %s in %s; there is %s%s", errors.quote(name),
    self:entries()[1].file, names_of(self:entries()), suggest.hint(name, by_name))
end

---The configurations that the command acts on: that of `--context`, all with `--all`, the only one, or "default".
---@return table[] entries
function App:selected()
  if self.chosen then return self.chosen end
  local entries, args = self:entries(), self.args
  if args.context and args.all then self:misuse("give --context NAME or --all, not both") end
  if args.context then
    self.chosen = { named(self, args.context) }
  elseif args.all then
    self.chosen = entries
  elseif #entries == 1 then
    self.chosen = entries
  else
    for _, entry in ipairs(entries) do
      if entry.name == "default" then self.chosen = { entry } end
    end
    if not self.chosen then
      self:misuse("which context? There is %s, and none is 'default'; give --context NAME or --all", names_of(entries))
    end
  end
  return self.chosen
end

---Where a context's database is: "postgres me@localhost:5432/app".
---@param instance table
---@return string
function App:place(instance) -- luacheck: no self
  return tostring(instance.config):match("^config<[^:]*: (.*)>$")
end

---What `selected` gives where a context is named, else every configuration.
---@return table[] entries
function App:selected_or_all()
  return self.args.context and self:selected() or self:entries()
end

---The instances that the command acts on. All others are made too, so that tables of theirs in the same database are
---known; one of them that does not load is a warning.
---@return table[] instances
function App:contexts()
  local list, is_chosen = {}, {}
  for _, entry in ipairs(self:selected()) do is_chosen[entry] = true end
  for _, entry in ipairs(self:entries()) do
    if is_chosen[entry] then
      list[#list + 1] = self:instance(entry)
    else
      local made, err = self:try_instance(entry)
      if not made then self:warn("context %s does not load: %s", errors.quote(entry.name), tostring(err)) end
    end
  end
  return list
end

---Every configuration as an instance. Raises what the first that does not load raises: for commands that would take
---its tables for nobody's.
function App:load_all()
  for _, entry in ipairs(self:entries()) do self:instance(entry) end
end

---Runs `act(instance)` for each context that the command acts on, under its name where there are several. One that
---fails keeps none of the others from being done: it is told, and the command ends with exit code 1.
---@param act fun(instance: table): integer|nil an exit code
---@param kind? "sql"|"data" what is said is SQL (names are comments), or for programs (no names)
---@return integer code
function App:each(act, kind)
  local entries, code = self:selected(), 0
  if #entries == 1 then return act(self:contexts()[1]) or 0 end
  for _, entry in ipairs(self:entries()) do self:try_instance(entry) end
  for _, entry in ipairs(entries) do
    if kind == "sql" then
      self:say("-- context %s", errors.quote(entry.name))
    elseif kind ~= "data" then
      self:say("%s", self.style.bold(tostring(entry.name) .. ":"))
    end
    local _, result = report.protect(self.io, self.args, function() return act(self:instance(entry)) end)
    code = math.max(code, result or 0)
    if code == report.INTERRUPTED then break end
  end
  return code
end

---The instances that the command does not act on and that are there.
---@return table[]
function App:others()
  local list, is_chosen = {}, {}
  for _, entry in ipairs(self:selected()) do is_chosen[entry] = true end
  for _, entry in ipairs(self:entries()) do
    local made = self.made[entry]
    if not is_chosen[entry] and made and made.ok then list[#list + 1] = made.result end
  end
  return list
end

return new
