--- Tells of every statement that was sent: `query` listeners, the logger, lines on standard error. `self` is the
--- context.
---
--- Whoever is told only watches: what one of them raises ends here. While they are called the link counts as waited
--- for, so that they may wait themselves, and the entity manager of the statement is `busy` for everybody, themselves
--- included. What they send on another one of this context is told to nobody, or there would be no end.
local compat = require("heddle.compat")
local core = require("heddle.core")
local errors = require("heddle.errors")
local owner = require("heddle.owner")
local wait = require("heddle.wait")

local pcall = compat.pcall

local logging = {}

-- mark of a coroutine -> the context that is telling there
local telling = setmetatable({}, { __mode = "k" })

local function is_telling(self)
  for mark, context in pairs(telling) do
    if context == self and owner.is_here(mark) then return true end
  end
  return false
end

-- Entries --------------------------------------------------------------------------------------------------

-- What the server said may hold values, which stand in no entry without `debug`.
local function without_values(err)
  local copy = {}
  for key, value in pairs(err) do copy[key] = value end
  copy.detail, copy.hint, copy.cause = nil, nil, nil
  return setmetatable(copy, getmetatable(err))
end

local function told_error(failure, debug)
  if not errors.is_error(failure) then
    local record = {}
    for key, value in pairs(failure) do record[key] = value end
    failure = errors.from_core(record)
  end
  return debug and debug.sql and failure or without_values(failure)
end

local function complete(self, entry)
  local made = self.config
  entry.context = self.name
  entry.kind = (entry.sql:match("^[%s(]*(%a+)") or ""):lower()
  entry.slow = made.slow_query ~= nil and entry.duration >= made.slow_query or nil
  if entry.slow or made.debug and made.debug.sql then entry.where = errors.where() end
end

-- Lines ----------------------------------------------------------------------------------------------------

local COUNTED = {}
for kind in ("select insert update delete with values replace merge fetch"):gmatch("%a+") do COUNTED[kind] = true end

local DIM, RED, YELLOW, PLAIN = "\27[2m", "\27[31m", "\27[33m", "\27[0m"

---An entry as one line: `[default] 0.412 ms  SELECT ... -- 3 rows, app.lua:12`.
---@param entry table
---@param coloured boolean|nil for a terminal
---@return string
function logging.line(entry, coloured)
  local place = entry.context .. (entry.connection ~= "primary" and " " .. entry.connection or "")
  local head = ("[%s] %.3f ms"):format(place, entry.duration * 1000)
  local notes = {}
  if entry.error then notes[1] = entry.error.kind end
  if entry.slow then notes[#notes + 1] = "slow" end
  if entry.rows and COUNTED[entry.kind] then
    notes[#notes + 1] = entry.rows .. (entry.rows == 1 and " row" or " rows")
  end
  notes[#notes + 1] = entry.where
  local tail = notes[1] and "-- " .. table.concat(notes, ", ") or ""
  -- One line, whatever stands in the text; nor is a terminal to obey it.
  local sql = entry.sql:gsub("%s+", " "):gsub("%c", "?")
  if coloured then
    head = DIM .. head .. PLAIN
    tail = (entry.error and RED or entry.slow and YELLOW or DIM) .. tail .. PLAIN
  end
  return (head .. "  " .. sql .. (notes[1] and "  " .. tail or "") .. "\n")
end

local function print_line(entry)
  local coloured = core.is_terminal() and not os.getenv("NO_COLOR")
  io.stderr:write(logging.line(entry, coloured))
end

-- Telling --------------------------------------------------------------------------------------------------

local function call(self, who, fn, entry)
  local ok, err = pcall(fn, entry)
  if ok then return end
  local has_text, text = pcall(tostring, err)
  io.stderr:write(("heddle: %s of context '%s' failed: %s\n"):format(who, self.name, has_text and text or type(err)))
end

local function tell(self, entries, mark)
  telling[mark] = self
  local made, listeners = self.config, self.listeners.query or {}
  local is_debugged = made.debug and made.debug.sql
  for _, entry in ipairs(entries) do
    for _, listener in ipairs(listeners) do call(self, "a 'query' listener", listener, entry) end
    if made.logger and (is_debugged or entry.slow or not made.slow_query) then
      call(self, "the logger", made.logger, entry)
    elseif not made.logger and (is_debugged or entry.slow) then
      call(self, "a line for standard error", print_line, entry) -- others have had the entry in their hands
    end
  end
  telling[mark] = nil
end

---Tells of every statement that the link's last operation sent.
---@param link userdata
---@param failure table|nil the error that the operation ended with
function logging.log(self, link, failure)
  if is_telling(self) then return end
  local entries, failed = link:log(failure ~= nil)
  if not entries[1] then return end
  local connection = self:connection_name(link)
  for _, entry in ipairs(entries) do
    complete(self, entry)
    entry.connection = connection
  end
  if failed then entries[failed].error = told_error(failure, self.config.debug) end
  local mark = owner.new()
  local ok, err = wait.during(link, tell, self, entries, mark)
  if ok then return end
  telling[mark] = nil
  error(err, 0)
end

---Where `debug` asks for it, the statements that are sent next say where in the program they come from.
---@param link userdata
function logging.comment(self, link)
  local debug = self.config.debug
  if debug and debug.comments then link:comment(errors.where()) end
end

return logging
