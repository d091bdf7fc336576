--- `instance.migrator`: changes of the database that are kept as files, recorded where they ran.
local compat = require("heddle.compat")
local dry = require("heddle.migrations.dry")
local errors = require("heddle.errors")
local files = require("heddle.migrations.files")
local names = require("heddle.migrations.names")
local owner = require("heddle.owner")
local record = require("heddle.migrations.record")
local run = require("heddle.migrations.run")
local select_migrations = require("heddle.migrations.select")
local session = require("heddle.migrations.session")
local states = require("heddle.migrations.states")

local pcall = compat.pcall

---@class heddle.Migrator
local Migrator = { __name = "heddle.migrator" }
Migrator.__index = Migrator

-- What is recorded, without a lock.
local function read_record(context)
  local place = { context = context, link = context:link() }
  local ok, rows = pcall(function()
    record.locate(place)
    return record.rows(place)
  end)
  place.link:close()
  if not ok then error(rows, 0) end
  return rows
end

local function read_states(context)
  return states.merge(files.list(files.directory(context), context.name), read_record(context))
end

local function refuse_nested(context)
  local who = context.migrating
  if not who or owner.is_gone(who) then return end
  errors.raise("busy", ("Migrations of context '%s' are running in this process already: a migration cannot call the "
    .. "migrator, and two coroutines cannot migrate at once"):format(context.name), { context = context.name })
end

-- Its transaction would be waited for until the test ends.
local function refuse_test(context)
  if not next(context.tests) then return end
  errors.raise("busy", ("An orm.testing scope of context '%s' is open: migrate before it begins"):format(context.name),
    { context = context.name })
end

-- Runs `work(session, entries)` with other processes kept out; `entries` is how things stand by then.
local function inside(context, on_progress, work)
  refuse_nested(context)
  refuse_test(context)
  context.migrating = owner.new()
  local opened
  local results = compat.pack(pcall(function()
    opened = session.open(context)
    opened:lock(on_progress)
    local entries = states.merge(files.list(files.directory(context), context.name), record.rows(opened))
    local settled = true
    for _, entry in ipairs(states.of(entries, "started")) do
      settled = opened:settled_state(on_progress, entry.name) == "started" and settled
    end
    if not settled then
      entries = states.merge(files.list(files.directory(context), context.name), record.rows(opened))
    end
    return work(opened, entries)
  end))
  if opened then opened:close() end
  context.migrating = nil
  if not results[1] then error(results[2], 0) end
  return compat.unpack(results, 2, results.n)
end

local function names_of(entries)
  local list = {}
  for i, entry in ipairs(entries) do list[i] = entry.name end
  return list
end

-- The names, and for each the SQL.
local function show(context, entries, parts)
  local scripts = {}
  for i, entry in ipairs(entries) do
    scripts[i] = { name = entry.name, path = entry.path, transaction = parts[entry].transaction,
      sql = dry.lines(context, entry, parts[entry]) }
  end
  return names_of(entries), scripts
end

local function migrate(self, direction, opts)
  local context = self.context
  opts = select_migrations.check(opts, direction, context.name)
  -- M5, and files that cannot be read: known before the database is touched.
  local entries = read_states(context)
  local chosen = select_migrations[direction](entries, opts, context.name)
  local parts = select_migrations.load(chosen, direction, context)
  if opts.dry_run then
    states.check(entries, context.name)
    return show(context, chosen, parts)
  end
  return inside(context, opts.on_progress, function(opened, now)
    states.check(now, context.name)
    run.adopt(opened, now)
    chosen = select_migrations[direction](now, opts, context.name)
    return run.all({ session = opened, entries = chosen, direction = direction, is_whole = opts.all_or_nothing,
      parts = select_migrations.load(chosen, direction, context), on_progress = opts.on_progress })
  end)
end

---Runs what is pending, in order. Raises `migration`, `validation`, `unknown_property`, `busy`.
---
---Usage: `orm.instance():connect().migrator:up()`, `migrator:up { to = "20260101120000_add_users" }`
---@param opts? { to: string, only: string|string[], dry_run: boolean, all_or_nothing: boolean, on_progress: function }
---@return string[] names of those that ran; with `dry_run` of those that would
---@return table[]|nil scripts with `dry_run`: { name =, path =, transaction =, sql = { statements and comments } }
function Migrator:up(opts)
  return migrate(self, "up", opts)
end

---Takes back what ran last; with `to` all that ran behind that one, with `all` everything.
---
---Usage: `migrator:down()`, `migrator:down { to = "20260101120000_add_users" }`
---@param opts? { to: string, only: string|string[], all: boolean, dry_run: boolean, all_or_nothing: boolean,
---on_progress: function }
---@return string[] names, the last one first
---@return table[]|nil scripts
function Migrator:down(opts)
  return migrate(self, "down", opts)
end

local function shown(entries)
  local list = {}
  for i, entry in ipairs(entries) do
    list[i] = { name = entry.name, state = entry.state, executed_at = entry.executed_at, duration = entry.duration,
      path = entry.path }
  end
  return list
end

---Every migration: `name state executed_at duration path`, in order. States are `pending`, `done`, `edited`, `missing`
---and `started`.
---
---Usage: `for _, item in ipairs(migrator:status()) do print(item.name, item.state) end`
---@return table[]
function Migrator:status()
  return shown(read_states(self.context))
end

---Those that are not done.
---@return table[]
function Migrator:pending()
  local list = {}
  for _, entry in ipairs(read_states(self.context)) do
    if entry.state ~= "done" then list[#list + 1] = entry end
  end
  return shown(list)
end

---Says how a migration stands, where Heddle cannot know: `done` writes it down as it is in its file, `undone` forgets
---it. Nothing is run. Raises `migration`, `validation`.
---
---Usage: `migrator:resolve("20260101120000_add_index", "done")`
---@param name string
---@param how "done"|"undone"
function Migrator:resolve(name, how)
  local context = self.context
  if how ~= "done" and how ~= "undone" then
    errors.raise("validation", "migrator:resolve takes a name, and 'done' or 'undone'", { context = context.name })
  end
  names.find(read_states(context), name, context.name)
  inside(context, nil, function(opened, entries)
    local entry = names.find(entries, name, context.name)
    run.adopt(opened, entries)
    if how == "done" and not entry.path then
      require("heddle.migrations.failure").raise(entry, context.name, "has no file to be recorded by; put it back, or "
        .. "resolve it as undone")
    elseif how == "done" then
      select_migrations.load({ entry }, "up", context)
    end
    opened:begin()
    if how == "undone" then
      record.remove(opened, entry.name)
    elseif entry.state == "pending" then
      record.put(opened, entry, "done", 0)
    else
      record.change(opened, entry, "done")
    end
    opened:commit()
  end)
end

---Makes a migration of what differs between the entities and the snapshot (or the database). Raises `migration`,
---`validation`, `unknown_property`.
---
---Usage: `local made = migrator:create { name = "add users" }`
---@param opts? { name: string, blank: boolean, initial: boolean, safe: boolean, rename: table<string, string>,
---from: "snapshot"|"database", sql: boolean }
---@return { path: string, name: string, up: string[], down: string[], hints: string[] }|nil made nil: nothing differs
function Migrator:create(opts)
  return require("heddle.migrations.create").create(self, opts, inside)
end

---Drops what the entities describe and the migrations made, with all rows, and runs every migration anew.
---
---Usage: `migrator:fresh()`
---@param opts? { on_progress: function }
---@return string[] names of those that ran
function Migrator:fresh(opts)
  require("heddle.migrations.fresh").drop(self, opts, inside)
  return self:up(opts)
end

---Makes one file of all that have run (one for each stretch, where some ran without a transaction), and removes
---theirs. Raises `migration`, also when there are not two.
---
---Usage: `migrator:rollup()`
---@param opts? { name: string }
---@return { path: string, name: string, replaces: string[], files: table[] } made
function Migrator:rollup(opts)
  return require("heddle.migrations.rollup").rollup(self, opts, inside)
end

return Migrator
