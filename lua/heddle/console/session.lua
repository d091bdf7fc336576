--- A console's session: the names that its lines see, running them, and telling what they gave.
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local inspect = require("heddle.console.inspect")
local instance_room = require("heddle.instance")
local logging = require("heddle.logging")
local output = require("heddle.cli.output")
local show = require("heddle.console.show")

---@class heddle.console.Session
local Session = {}
Session.__index = Session

local session = {}

-- Names ----------------------------------------------------------------------------------------------------

local function add_entities(env, context)
  for name, map in pairs(context.mappings.by_name) do
    -- Lua's own names stay what they are.
    if rawget(env, name) == nil and _G[name] == nil then env[name] = map.class end
  end
end

local function printer(streams)
  return function(...)
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
    streams.stdout:write(table.concat(parts, "\t"), "\n")
  end
end

-- What `begin`, `commit` and `rollback` are without a name: of the context that `em` is of.
local function transactions(env)
  for _, what in ipairs({ "begin", "commit", "rollback", "flush" }) do
    env[what] = function(name)
      local em = name == nil and env.em or env.em_of[name]
      if not em then errors.raise("context_not_found", "There is no context " .. errors.quote(name) .. " here") end
      em[what](em)
    end
  end
end

local function environment(contexts, streams)
  local orm = require("heddle")
  local env = { orm = orm, op = orm.op, em_of = {}, print = printer(streams) }
  for _, context in ipairs(contexts) do
    env.em_of[context.name] = orm.em(context.name)
    env["em_" .. context.name:gsub("[^%w_]", "_")] = orm.em(context.name)
    add_entities(env, context)
  end
  env.em = env.em_of[contexts[1].name]
  transactions(env)
  return setmetatable(env, { __index = _G })
end

---@param opts { contexts: table[], streams: table, is_plain: boolean|nil } the first context is the one of `em`
---@return heddle.console.Session
function session.new(opts)
  local self = setmetatable({
    contexts = opts.contexts, streams = opts.streams, style = output.style(opts.streams, "stdout", opts.is_plain),
    err_style = output.style(opts.streams, "stderr", opts.is_plain), env = environment(opts.contexts, opts.streams),
    is_terminal = output.is_terminal(opts.streams, "stdout"), failures = 0, unsubscribe = {},
  }, Session)
  return self
end

-- Telling --------------------------------------------------------------------------------------------------

function Session:say(text)
  self.streams.stdout:write(text, "\n")
end

---Shows a value on standard output.
function Session:show(value)
  for _, line in ipairs(show.lines(value, self)) do self:say(line) end
end

-- What the database said, where the message does not say it.
local function details(err)
  local lines, said = {}, err.message
  for _, name in ipairs({ "cause", "detail", "hint" }) do
    local text = err[name]
    if errors.is_error(text) then text = text.message end
    if type(text) == "string" and text ~= "" and not said:find(text, 1, true) then
      lines[#lines + 1] = ("\n  %s: %s"):format(name, (text:gsub("%s+$", ""):gsub("\n", "\n    ")))
      said = said .. text
    end
  end
  return table.concat(lines)
end

-- What an error says; its own function for that may raise.
local function text_of(err)
  local ok, text = pcall(type(err) == "table" and inspect.value or tostring, err)
  return ok and type(text) == "string" and text or "a " .. type(err) .. " that cannot be shown"
end

---Whether an error is Ctrl-C.
function session.is_interrupt(err)
  return text_of(err):find("interrupted!", 1, true) ~= nil
end

---Tells an error, on standard error.
---@param err any
---@param outside? string a place that says nothing: that of the console's own caller
function Session:tell(err, outside)
  self.failures = self.failures + 1
  local style, text = self.err_style
  if errors.is_error(err) then
    text = style.red(err.kind .. ":") .. " " .. err.message .. details(err)
    if err.where and err.where ~= outside and err.where ~= "console:1" then text = text .. "\n  at " .. err.where end
  elseif session.is_interrupt(err) then
    text = style.yellow("interrupted")
  else
    text = style.red("error:") .. " " .. text_of(err):gsub("^console:1: ", "")
  end
  self.streams.stderr:write(text, "\n")
end

-- Running --------------------------------------------------------------------------------------------------

-- A chunk that gives its expression's values, or one of statements; "incomplete" where the text just goes on.
local function compile(text, env)
  text = text:gsub("^%s*=", "return ", 1)
  local chunk = compat.load("return " .. text, "=console", env)
  if chunk then return compat.uncompiled(chunk) end
  local err
  chunk, err = compat.load(text, "=console", env)
  if chunk then return compat.uncompiled(chunk) end
  if err:find("near '?<eof>'?$") then return nil, "incomplete" end
  return nil, err
end

---Runs a function; what it gives is shown, what it raises told.
---@param fn function
---@return boolean ok
function Session:call(fn, ...)
  local outside = errors.where()
  local results = compat.pack(pcall(fn, ...))
  if not results[1] then
    self:tell(results[2], outside)
    return false
  end
  if results.n > 1 then rawset(self.env, "_", results[2]) end
  local ok, err = pcall(function()
    for i = 2, results.n do self:show(results[i]) end
  end)
  if not ok then self:tell(err) end
  return ok
end

---Runs a text, and tells what it gave.
---@param text string
---@return "done"|"incomplete"|"failed"
function Session:run(text)
  local chunk, problem = compile(text, self.env)
  if problem == "incomplete" then return problem end
  if not chunk then
    self:tell(problem)
    return "failed"
  end
  return self:call(chunk) and "done" or "failed"
end

---Runs a text that nothing follows.
---@param text string
---@return boolean ok
function Session:run_whole(text)
  local state = self:run(text)
  if state == "incomplete" then self:tell("the text ends before its last statement does") end
  return state == "done"
end

---Runs a file. Raises nothing: what is wrong is told.
---@param path string
---@return boolean ok
function Session:run_file(path)
  local file, problem = io.open(path, "rb")
  if not file then
    self:tell("the file cannot be read: " .. problem)
    return false
  end
  local text = file:read("*a")
  file:close()
  local chunk, err = compat.load(text:gsub("^#[^\n]*", ""), "@" .. path, self.env)
  if not chunk then
    self:tell(err)
    return false
  end
  return self:call(chunk)
end

-- SQL ------------------------------------------------------------------------------------------------------

---Whether statements are shown, on standard error.
---@param is_on boolean
function Session:show_sql(is_on)
  for _, stop in ipairs(self.unsubscribe) do stop() end
  self.unsubscribe = {}
  if not is_on then return end
  for i, context in ipairs(self.contexts) do
    self.unsubscribe[i] = context:on("query", function(entry)
      self.streams.stderr:write(logging.line(entry, self.err_style.is_coloured))
    end)
  end
end

-- What is left ---------------------------------------------------------------------------------------------

local function describe(changes)
  local names, most = {}, 5
  for i = 1, math.min(#changes, most) do
    local change = changes[i]
    names[i] = change.op .. " " .. tostring(change.entity and instance_room.name_of(change.entity) or change.name)
  end
  if #changes > most then names[#names + 1] = "..." end
  return table.concat(names, ", ")
end

---What would be lost if the session ended now: lines, none when there is nothing.
---@return string[]
function Session:pending()
  local lines = {}
  for _, context in ipairs(self.contexts) do
    local em = self.env.em_of[context.name]
    local ok, changes = pcall(em.changes, em)
    if ok and #changes > 0 then
      lines[#lines + 1] = ("context '%s': %s not flushed (%s)"):format(context.name,
        output.count(#changes, "change"), describe(changes))
    end
    local known, is_open = pcall(em.in_transaction, em)
    if known and is_open then
      lines[#lines + 1] = ("context '%s': the open transaction is rolled back"):format(context.name)
    end
  end
  return lines
end

return session
