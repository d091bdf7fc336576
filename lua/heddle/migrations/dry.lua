--- The SQL of a migration that is not run: `m` notes what it is asked for. What goes through the entity manager depends
--- on rows and is told as a comment; it finds none.
local compat = require("heddle.compat")
local core = require("heddle.core")
local errors = require("heddle.errors")
local helpers = require("heddle.migrations.helpers")
local registry = require("heddle.registry")
local scope = require("heddle.scope")
local script = require("heddle.migrations.script")

local dry = {}

local function literal(value)
  if type(value) == "string" then return "'" .. value:gsub("'", "''") .. "'" end
  if value == nil or value == core.null then return "NULL" end
  if type(value) == "table" then return "{...}" end
  return tostring(value)
end

local function note(self, text, values)
  if values and values.n > 0 then
    local list = {}
    for i = 1, values.n do list[i] = literal(values[i]) end
    text = text .. " -- with " .. table.concat(list, ", ")
  end
  self.lines[#self.lines + 1] = text
end

-- The entity manager -------------------------------------------------------------------------------------------

local NOTHING = function() end

local function none() return {} end
local function zero() return 0 end
local function same(_, _, data) return data or {} end

local writing = { insert = true, update = true, delete = true, replace = true, merge = true }

-- What SQL gives that finds nothing: rows, or how many were touched.
local function answer_to(sql)
  local text = tostring(sql):lower()
  if writing[text:match("%a+") or ""] and not text:find("%f[%w_]returning%f[^%w_]") then return 0 end
  return {}
end

-- What methods give when there are no rows; all others the entity manager itself. A query's chain ends in one of them.
local answers = {
  find = none, find_all = none, find_one = NOTHING, find_and_count = function() return {}, 0 end, count = zero,
  find_by_cursor = function() return { items = {}, has_next = false, has_prev = false, total = 0 } end,
  stream = function() return NOTHING end, execute = function(_, sql) return answer_to(sql) end, insert = NOTHING,
  insert_many = none, update_where = zero, delete_where = zero, create = same, upsert = same, upsert_many = none,
  map = same, assign = function(_, e) return e end, merge = function(_, e) return e end, get_reference = none,
  load = NOTHING, clear = NOTHING, flush = NOTHING, changes = none, contains = function() return false end,
  in_transaction = function() return true end, all = none, rows = none, one = NOTHING,
}

local function is_reading(name)
  return name:find("^find") or name == "count" or name == "stream" or name == "load"
end

local Em = {}

function Em.__index(em, name)
  if type(name) ~= "string" then return nil end
  return function(_, ...)
    local lines = rawget(em, "lines")
    lines[#lines + 1] = ("-- em:%s(%s): depends on the rows that are there%s"):format(name,
      type((...)) == "string" and ("%q"):format((...)) or "...", is_reading(name) and ", read as none" or "")
    if name == "transactional" then return (...)(em) end
    if answers[name] then return answers[name](em, ...) end
    return em
  end
end

-- The migration ------------------------------------------------------------------------------------------------

local Tool = { __name = "heddle.migration" }
Tool.__index = Tool
helpers.add(Tool)

function Tool:sql(text, ...)
  local values = compat.pack(...)
  if type(text) ~= "string" then errors.raise("validation", "m:sql takes SQL as a string") end
  if values.n > 0 then return note(self, text, values) end
  for _, statement in ipairs(script.split(text, self.driver)) do note(self, statement.text) end
end

function Tool:execute(sql, ...)
  note(self, "-- m:execute, which finds no rows here: " .. tostring(sql):gsub("%s+", " "), compat.pack(...))
  return answer_to(sql)
end

local function em_of(lines, context)
  return setmetatable({ lines = lines, context_name = context.name, instance = context }, Em)
end

function Tool:em()
  return em_of(self.lines, self.context)
end

-- Whatever entity manager a function asks for is one that notes, of other contexts too.
local function noting(lines)
  local overrides = {}
  for _, name in ipairs(registry.names()) do
    local context = registry.get(name)
    overrides[context] = em_of(lines, context)
  end
  return { overrides = overrides }
end

function Tool:rebuild(name, create_sql, copy, indexes)
  note(self, ("-- the table %q is made anew with its rows, indexes and triggers%s:"):format(name,
    copy and next(copy) and ", some columns filled from others" or ""))
  note(self, create_sql)
  for _, index in ipairs(indexes and indexes.drop or {}) do note(self, ("-- without the index %q"):format(index)) end
  for _, text in ipairs(indexes and indexes.add or {}) do note(self, text) end
end

-- These are asked of the database, as it is before.
local Reader = {}
Reader.__index = Reader

function Reader:execute(sql, ...)
  local link = self.context:link()
  local ok, rows = compat.pcall(self.context.run_sql, self.context, link, sql, compat.pack(...))
  link:close()
  if not ok then error(rows, 0) end
  return rows
end

local function ask(name)
  local method = Tool[name]
  return function(self, ...)
    return method(setmetatable({ context = self.context, context_name = self.context_name, driver = self.driver },
      Reader), ...)
  end
end

Tool.has_table, Tool.has_column = ask("has_table"), ask("has_column")

---What one half of a migration would run. Errors of a Lua function end the list, where the lack of rows may be why.
---@param context table
---@param entry table
---@param part { run: function|table }
---@return string[] statements and comments
function dry.lines(context, entry, part)
  local made = setmetatable({ context = context, context_name = context.name, driver = context.driver_name,
    name = entry.name, lines = {} }, Tool)
  if type(part.run) == "table" then
    for _, statement in ipairs(part.run) do note(made, statement.text) end
    return made.lines
  end
  local item = scope.enter(noting(made.lines))
  local ok, err = compat.pcall(part.run, made)
  scope.leave(item)
  if not ok then
    note(made, "-- from here on it cannot be told without rows: " .. tostring(err):gsub("%s+", " "))
  end
  return made.lines
end

return dry
