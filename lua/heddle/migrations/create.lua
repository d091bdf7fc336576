--- Makes a migration: what leads from the snapshot, or the live database, to the entities, and back.
local compat = require("heddle.compat")
local compare = require("heddle.schema.compare")
local differ = require("heddle.schema.differ")
local errors = require("heddle.errors")
local failure = require("heddle.migrations.failure")
local files = require("heddle.migrations.files")
local initial = require("heddle.migrations.initial")
local model = require("heddle.schema.model")
local names = require("heddle.migrations.names")
local options = require("heddle.options")
local own = require("heddle.migrations.own")
local snapshot = require("heddle.migrations.snapshot")
local states = require("heddle.migrations.states")
local text = require("heddle.migrations.text")
local write = require("heddle.migrations.write")

local pcall = compat.pcall

local create = {}

local rules = {
  name = options.text, blank = options.boolean, initial = options.boolean,
  safe = options.boolean, rename = options.table,
  from = options.one_of({ "snapshot", "database" }), sql = options.boolean,
}

local function check(opts, context)
  opts = options.given(opts, rules, "migrator:create", context.name)
  if opts.blank and opts.initial then
    errors.raise("validation", "migrator:create: 'blank' and 'initial' exclude each other", { context = context.name })
  elseif opts.name and names.safe(opts.name) == "" then
    errors.raise("validation", ("migrator:create: nothing of the name %s can stand in a file's name; use letters and "
      .. "digits"):format(errors.quote(opts.name)), { context = context.name })
  end
  return opts
end

-- What differs -------------------------------------------------------------------------------------------------

-- What undoes renames: certain or asked for, the way back does not have to guess.
local function reversed_renames(changes)
  local rename = {}
  for _, pair in ipairs(changes.renamed) do rename[model.path(pair.to)] = model.path(pair.from) end
  for _, entry in ipairs(changes.changed) do
    for _, pair in ipairs(entry.columns.renamed) do rename[model.path(entry.now) .. "." .. pair.to] = pair.from end
  end
  return rename
end

local function all_but(list, gone, became)
  local left, dropped = {}, {}
  for _, item in ipairs(gone) do dropped[item] = true end
  for _, item in ipairs(list) do
    if not dropped[item] then left[#left + 1] = became[item] or item end
  end
  return left
end

local function append(list, more)
  for _, item in ipairs(more) do list[#list + 1] = item end
  return list
end

-- What the changes make of a model: the entities' own, and what was left in its place.
local function after(from, changes)
  local became = {}
  for _, pair in ipairs(changes.renamed) do became[pair.from] = pair.to end
  for _, list in ipairs({ changes.changed, changes.views.changed }) do
    for _, entry in ipairs(list) do became[entry.was] = entry.now end
  end
  return {
    driver = from.driver, tables = append(all_but(from.tables, changes.dropped, became), changes.added),
    views = append(all_but(from.views, changes.views.dropped, became), changes.views.added),
  }
end

-- A database may hold what is somebody else's: of that nothing goes. What is whose is asked when something could go.
local function from_database(context)
  local is_own
  return differ.others(context), function(item, kind)
    is_own = is_own or own.of(context)
    return is_own(kind, item.name, item.schema) ~= nil
  end
end

-- Up, and back from where it led.
local function steps_of(context, link, from, to, opts)
  local is_kept, drops
  if opts.from == "database" then is_kept, drops = from_database(context) end
  local up, changes = differ.steps(context, link, from, to, { safe = opts.safe or false, rename = opts.rename,
    is_kept = is_kept, drop_tables = drops })
  if #up == 0 then return up, {}, changes end
  local ok, down = pcall(differ.steps, context, link, after(from, changes), from, { safe = false, reverse = true,
    rename = reversed_renames(changes) })
  if ok then return up, down, changes end
  if not errors.is_error(down, "migration") then error(down, 0) end
  return up, nil, changes, down.message
end

-- Where it begins: the snapshot, else the live database, which then has to be where the migrations lead.
local function beginning(self, opts, directory, status)
  local context = self.context
  local kept = snapshot.read(directory, context)
  if opts.from == "snapshot" and not kept then
    failure.refuse(context.name, ("there is no '%s' to begin from; create from the database"):format(
      snapshot.path(directory)))
  elseif kept and opts.from ~= "database" then
    return kept, "snapshot"
  end
  local entries = status()
  states.check(entries, context.name)
  local pending = states.of(entries, "pending")[1]
  if pending then
    failure.raise(pending, context.name, "is pending, so that the database is not what the migrations make of it: run "
      .. "them first")
  end
  return nil, "database"
end

local function with_link(context, fn)
  local link = context:link()
  local results = compat.pack(pcall(fn, link))
  link:close()
  if not results[1] then error(results[2], 0) end
  return compat.unpack(results, 2, results.n)
end

-- Names --------------------------------------------------------------------------------------------------------

-- What it does, in words, where that is one thing.
local function words_for(opts, changes)
  if opts.name then return names.safe(opts.name) end
  if opts.blank then return "blank" end
  if opts.initial then return "initial" end
  local added, changed, dropped = changes.added, changes.changed, changes.dropped
  local count = #added + #changed + #dropped
  if count ~= 1 then return "schema" end
  local word = added[1] and "create" or changed[1] and "change" or "drop"
  local t = added[1] or changed[1] and changed[1].now or dropped[1]
  local name = names.safe(t.name)
  return name == "" and "schema" or word .. "_" .. name
end

-- Files --------------------------------------------------------------------------------------------------------

local function refuse_rebuild(context, steps)
  for _, step in ipairs(steps or {}) do
    if type(step) ~= "string" then
      failure.refuse(context.name, ("table '%s' has to be made anew, which an .sql file cannot say: create without "
        .. "'sql', the Lua file does it"):format(step.rebuild), { table = step.rebuild })
    end
  end
end

-- Path -> text of what one migration is.
local function texts_of(made, stem, opts)
  if not opts.sql then return { { stem .. ".lua", text.lua(made) } } end
  local list = { { stem .. ".up.sql", text.sql(made, made.up, made.notes) } }
  if made.down then list[2] = { stem .. ".down.sql", text.sql(made, made.down) } end
  return list
end

local function remove_all(paths)
  for _, path in ipairs(paths) do os.remove(path) end
end

-- All of them, or none where one is there.
local function write_new(list, context_name)
  local written = {}
  for _, item in ipairs(list) do
    local ok, is_new = pcall(write.new, item[1], item[2], context_name)
    if not ok or not is_new then
      remove_all(written)
      if not ok then error(is_new, 0) end
      return nil
    end
    written[#written + 1] = item[1]
  end
  return written
end

-- Counts on until nobody has the name.
local function write_files(directory, made, words, opts, context_name)
  write.directory(directory, context_name)
  local existing = {}
  for i, entry in ipairs(files.list(directory, context_name)) do existing[i] = entry.name end
  local stamp = names.stamp(existing)
  while true do
    local name = stamp .. "_" .. words
    local written = write_new(texts_of(made, directory .. "/" .. name, opts), context_name)
    if written then return name, written end
    stamp = names.after(stamp)
  end
end

-- With the snapshot, or not at all.
local function write_both(context, directory, made, words, opts, wanted)
  local name, written = write_files(directory, made, words, opts, context.name)
  if wanted then
    local ok, err = pcall(snapshot.write, directory, wanted, context.name)
    if not ok then
      remove_all(written)
      error(err, 0)
    end
  end
  return name, written
end

local function flat(steps)
  local list = {}
  for i, step in ipairs(steps or {}) do list[i] = type(step) == "string" and step or step.create end
  return list
end

local NO_CHANGES = { added = {}, changed = {}, dropped = {}, renamed = {}, hints = {}, left_out = {} }

local function finish(self, opts, up, down, changes, wanted, problem)
  local context = self.context
  local directory = files.directory(context)
  if opts.sql then
    refuse_rebuild(context, up)
    refuse_rebuild(context, down)
  end
  local made = { context = context.name, driver = context.driver_name, up = up, down = down,
    notes = text.notes(changes, problem, up) }
  local name, written = write_both(context, directory, made, words_for(opts, changes), opts, wanted)
  return { path = written[1], name = name, up = flat(up), down = flat(down), hints = changes.hints,
    left_out = changes.left_out, written = written }
end

local function create_difference(self, opts, status)
  local context = self.context
  local directory = files.directory(context)
  local wanted = model.of(context)
  local from, kind = beginning(self, opts, directory, status)
  opts.from = kind
  local up, down, changes, problem = with_link(context, function(link)
    if from then return steps_of(context, link, from, wanted, opts) end
    return steps_of(context, link, differ.live(context, link), differ.wanted(context, link), opts)
  end)
  if #up > 0 then return finish(self, opts, up, down, changes, wanted, problem) end
  -- The database is as the entities say: that is where the next one begins.
  local kept = kind == "database" and snapshot.read(directory, context)
  if kept and not compare.is_empty(compare.changes(kept, wanted, { safe = false })) then
    snapshot.write(directory, wanted, context.name)
  end
  return nil
end

---See heddle.migrator.
---@param migrator table
---@param opts table|nil
---@param inside function runs something with other processes kept out
---@return table|nil made
function create.create(migrator, opts, inside)
  local context, copied = migrator.context, {}
  for key, value in pairs(check(opts, context)) do copied[key] = value end
  if copied.blank then return finish(migrator, copied, {}, {}, NO_CHANGES) end
  local function status() return migrator:status() end
  if not copied.initial then return create_difference(migrator, copied, status) end
  local wanted = model.of(context)
  local has_tables = initial.check(context, status(), with_link)
  local up, down, changes, problem = with_link(context, function(link)
    return steps_of(context, link, { driver = context.driver_name, tables = {}, views = {} }, wanted, copied)
  end)
  local made = finish(migrator, copied, up, down, changes, wanted, problem)
  if has_tables then
    local ok, err = pcall(initial.record, context, made, inside)
    if not ok then
      remove_all(made.written)
      os.remove(snapshot.path(files.directory(context)))
      error(err, 0)
    end
    made.recorded = true
  end
  return made
end

return create
