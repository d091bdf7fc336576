--- Which migrations a call is about: its options `to`, `only` and `all`, in the order in which they run.
local errors = require("heddle.errors")
local failure = require("heddle.migrations.failure")
local files = require("heddle.migrations.files")
local names = require("heddle.migrations.names")
local options = require("heddle.options")
local states = require("heddle.migrations.states")

local select_migrations = {}

local function names_or_name(value)
  if not options.text(value) or not options.list_of(options.text)(value) then return nil end
  return "a migration's name, or a list of them"
end

local rules = {
  up = {
    to = options.text, only = names_or_name, dry_run = options.boolean, all_or_nothing = options.boolean,
    on_progress = options.func,
  },
  down = {
    to = options.text, only = names_or_name, all = options.boolean, dry_run = options.boolean,
    all_or_nothing = options.boolean, on_progress = options.func,
  },
}

---Checks the options of a call. Raises `validation`, `unknown_property`.
---@param opts any
---@param call "up"|"down"
---@return table opts
function select_migrations.check(opts, call, context_name)
  opts = options.given(opts, rules[call], "migrator:" .. call, context_name)
  if (opts.to and 1 or 0) + (opts.only and 1 or 0) + (opts.all and 1 or 0) > 1 then
    errors.raise("validation", ("migrator:%s: 'to', 'only' and 'all' exclude each other"):format(call),
      { context = context_name })
  end
  return opts
end

-- The ones that `only` names, as far as they are in the state that makes them candidates.
local function only(entries, given, candidates, context_name)
  local chosen, list = {}, {}
  for _, name in ipairs(type(given) == "table" and given or { given }) do
    chosen[names.find(entries, name, context_name)] = true
  end
  for _, entry in ipairs(candidates) do
    if chosen[entry] then list[#list + 1] = entry end
  end
  return list
end

---Those that `up` runs.
---@param entries table[] of heddle.migrations.states
---@return table[]
function select_migrations.up(entries, opts, context_name)
  local pending, list = states.of(entries, "pending"), {}
  if opts.only then return only(entries, opts.only, pending, context_name) end
  local last = opts.to and names.find(entries, opts.to, context_name).name
  for _, entry in ipairs(pending) do
    if not last or entry.name <= last then list[#list + 1] = entry end
  end
  return list
end

-- The last one that ran first.
local function by_execution(a, b)
  if a.executed_at ~= b.executed_at then return a.executed_at > b.executed_at end
  return a.name > b.name
end

---Those that `down` takes back: what ran last, or all that ran behind the one that `to` names, which stays.
---@return table[]
function select_migrations.down(entries, opts, context_name)
  local done, list = states.of(entries, "done"), {}
  table.sort(done, by_execution)
  if opts.only then return only(entries, opts.only, done, context_name) end
  if not opts.to and not opts.all then return { done[1] } end
  local last = opts.to and names.find(entries, opts.to, context_name)
  if last and last.state ~= "done" then
    failure.raise(last, context_name, "has not run, so that there is no way down to it")
  end
  for _, entry in ipairs(done) do
    if entry == last then break end
    list[#list + 1] = entry
  end
  return list
end

---What each of them runs; all files are read before anything runs. Raises `migration`.
---@param list table[]
---@param direction "up"|"down"
---@param context table
---@return table<table, table> parts
function select_migrations.load(list, direction, context)
  local parts = {}
  for _, entry in ipairs(list) do
    local part = files.load(entry, context)[direction]
    if not part then
      failure.raise(entry, context.name, ("has no down: it cannot be taken back; write one (%s), or put back a backup")
        :format(entry.kind == "lua" and "down = function(m) ... end in its file"
          or "'" .. entry.path:gsub("%.up%.sql$", ".down.sql") .. "'"))
    end
    parts[entry] = part
  end
  return parts
end

return select_migrations
