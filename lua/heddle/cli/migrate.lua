--- `heddle migrate*`: the migrations of a context.
local changes = require("heddle.cli.changes")
local output = require("heddle.cli.output")

local states = { done = "green", pending = "yellow" }

local function add_run_options(parser, to, only)
  parser:option("--to"):argname("MIGRATION"):description(to)
  parser:option("--only"):argname("MIGRATION"):description(only)
  parser:flag("--dry-run"):description("Print the SQL, run nothing.")
  parser:flag("--all-or-nothing"):description("One transaction for them all: one that fails takes back the others.")
end

local verbs = {
  up = { "migrating", "migrated", "run" },
  down = { "taking back", "taken back", "taken back" },
}

-- Seconds from which on one statement is worth a line.
local LONG = 1

-- Tells how far a run is: a line for each migration, with the time that it took.
local function progress(app)
  local live = app:is_terminal("stderr")
  local function draw(text)
    if live then app.io.stderr:write("\r\27[K", text) end
  end
  return function(told)
    local words = verbs[told.direction or "up"]
    if told.event == "start" then
      draw(("  %s %s (%d of %d) ..."):format(words[1], told.name, told.index, told.count))
    elseif told.event == "waiting" then
      app:note("  context '%s': another process is migrating; waiting for its end ...", told.context)
    elseif told.event == "statement" and told.duration >= LONG then
      draw("")
      app:note("  %s  %s", output.duration(told.duration), output.one_line(told.sql, 100))
    elseif told.event == "done" then
      draw("")
      app:say("  %s %s  %s", app.style.green(words[2]), told.name, app.style.dim(output.duration(told.duration)))
    elseif told.event == "failed" then
      draw("")
      app:say("  %s %s  %s", app.style.red("failed"), told.name, app.style.dim(output.duration(told.duration)))
    end
  end
end

local function print_dry(app, scripts)
  for _, script in ipairs(scripts or {}) do
    app:say("-- %s%s", script.name, script.transaction and "" or " (without a transaction)")
    for _, text in ipairs(script.sql) do
      app:say("%s", text:find("^%-%-[^\n]*$") and text or (text:gsub("[;%s]+$", "") .. ";"))
    end
  end
end

local function run_migrations(app, args, instance, direction, options)
  options.dry_run, options.all_or_nothing = args.dry_run, args.all_or_nothing
  options.on_progress = progress(app)
  local names, scripts = instance.migrator[direction](instance.migrator, options)
  if args.dry_run then return print_dry(app, scripts) end
  if #names == 0 then return app:say("Context '%s': nothing to do.", instance.name) end
  app:say("Context '%s': %s %s.", instance.name, output.count(#names, "migration"), verbs[direction][3])
end

local function up(app, args)
  return app:each(function(instance)
    run_migrations(app, args, instance, "up", { to = args.to, only = args.only })
  end, args.dry_run and "sql" or nil)
end

local function down(app, args)
  local everything = args.to == "0"
  return app:each(function(instance)
    run_migrations(app, args, instance, "down",
      { to = not everything and args.to or nil, only = args.only, all = everything or nil })
  end, args.dry_run and "sql" or nil)
end

-- ---- Making ----

local function print_changes(app, title, statements)
  if not statements or #statements == 0 then return end
  app:say("  %s", app.style.dim(title))
  for _, text in ipairs(statements) do app:say("    %s", output.one_line(text, 160)) end
end

local function create(app, args)
  local options = changes.options(app, args, "unsafe")
  for _, key in ipairs({ "name", "blank", "initial", "sql", "from" }) do options[key] = args[key] end
  return app:each(function(instance)
    local made = instance.migrator:create(options)
    if not made then
      app:say("Context '%s': nothing has changed; --blank makes an empty migration.", instance.name)
      return
    end
    app:say("%s %s", app.style.green("created"), made.path)
    print_changes(app, "up", made.up)
    print_changes(app, "down", made.down)
    changes.tell_rest(app, made)
  end)
end

-- ---- Looking ----

local function time_text(format, value)
  return value and require("heddle.date").format(format, value)
end

local function is_wrong(row)
  return row.state ~= "done"
end

local function status(app, args)
  local all, code = {}, 0
  local colours = app.style
  local function colour(text, row) return colours[states[row[2]] or "red"](text) end
  local result = app:each(function(instance)
    local rows, list = {}, instance.migrator:status()
    for i, one in ipairs(list) do
      rows[i] = { one.name, one.state, time_text("%Y-%m-%d %H:%M:%S", one.executed_at) }
      all[#all + 1] = { context = instance.name, name = one.name, state = one.state,
        executed_at = time_text("!%Y-%m-%dT%H:%M:%SZ", one.executed_at) }
      if args.check and is_wrong(one) then code = 1 end
    end
    if args.json then return end
    if #rows == 0 then return app:say("Context '%s' has no migrations.", instance.name) end
    app:table(rows, { "Migration", { "State", style = colour }, "Executed at" })
  end, args.json and "data" or nil)
  if args.json then app:json(require("heddle.array").new(all)) end
  return math.max(code, result)
end

-- ---- Starting anew, mending ----

local function fresh(app)
  return app:each(function(instance)
    app:confirm(("This drops everything in context '%s' (%s), with its rows, and migrates anew."):format(instance.name,
      app:place(instance)))
    local made = instance.migrator:fresh({ on_progress = progress(app) })
    app:say("Context '%s': made anew, %s run.", instance.name, output.count(#(made or {}), "migration"))
  end)
end

local function resolve(app, args)
  if (args.done and args.undone) or not (args.done or args.undone) then
    app:misuse("give --done or --undone: is what the migration does in the database, or not?")
  end
  return app:each(function(instance)
    local state = args.done and "done" or "undone"
    instance.migrator:resolve(args.migration, state)
    app:say("Migration '%s' of context '%s' is recorded as %s.", args.migration, instance.name, state)
  end)
end

local function rollup(app, args)
  return app:each(function(instance)
    app:confirm(("This replaces the migrations of context '%s' that have run by one."):format(instance.name))
    local made = instance.migrator:rollup({ name = args.name })
    app:say("%s %s", app.style.green("created"), type(made) == "table" and made.path or tostring(made))
  end)
end

return {
  title = "Migrations",
  {
    name = "migrate", tells_pending = true, run = up,
    summary = "Run the migrations that are pending.",
    examples = {
      { "heddle migrate", "all that are pending" },
      { "heddle migrate --all", "of every context" },
      { "heddle migrate --config=./orm-secondary.config.lua", "of the context that the file configures" },
      { "heddle migrate --to 20260722101500_add_email", "up to this one" },
      { "heddle migrate --dry-run", "the SQL, nothing is run" },
    },
    arguments = function(parser)
      add_run_options(parser, "The last one to run.", "Run this one alone.")
    end,
  },
  {
    name = "migrate:create", tells_pending = true, run = create,
    summary = "Write a migration of what has changed in the entities.",
    description = "Writes a migration that leads from the last snapshot (or from the live database) to the entities. "
      .. "Nothing has changed: nothing is written.",
    examples = {
      { "heddle migrate:create --name add_email" },
      { "heddle migrate:create --name full_name --rename users.name=full_name" },
      { "heddle migrate:create --name import --blank", "an empty one, to be filled in" },
      { "heddle migrate:create --name initial --initial", "of everything, where the tables may be there already" },
      { "heddle migrate:create --from database", "from what the database has, not from the snapshot" },
    },
    arguments = function(parser)
      parser:option("-n --name"):argname("WORDS"):description("What it does; becomes part of the file's name.")
      parser:flag("--blank"):description("An empty migration.")
      parser:flag("--initial"):description("The first migration, of the whole schema.")
      parser:option("--from"):choices({ "snapshot", "database" }):description("Where it begins (default: snapshot).")
      parser:flag("--sql"):description("A pair of .sql files, in place of a Lua file.")
      changes.add_options(parser, "unsafe")
    end,
  },
  {
    name = "migrate:down", tells_pending = true, run = down,
    summary = "Take back the last migration.",
    examples = {
      { "heddle migrate:down" },
      { "heddle migrate:down --to 20260722101500_add_email", "all that came after this one" },
      { "heddle migrate:down --to 0", "all of them" },
    },
    arguments = function(parser)
      add_run_options(parser, "The last one that stays; 0 takes back all.", "Take back this one alone.")
    end,
  },
  {
    name = "migrate:status", tells_pending = true, run = status,
    summary = "Show which migrations have run.",
    examples = {
      { "heddle migrate:status" },
      { "heddle migrate:status --all --json", "for programs" },
      { "heddle migrate:status --check", "exit code 1 unless all have run, unchanged" },
    },
    arguments = function(parser)
      parser:flag("--json"):description("As JSON: a list of { context, name, state, executed_at }.")
      parser:flag("--check"):description("Exit code 1 unless every migration is done.")
    end,
  },
  {
    name = "migrate:fresh", tells_pending = true, run = fresh,
    summary = "Drop everything and migrate anew.",
    description = "Drops every table of the context, with its rows, and runs all migrations. Asks on a terminal; "
      .. "elsewhere it needs --yes.",
    examples = { { "heddle migrate:fresh --yes" } },
    arguments = changes.add_yes,
  },
  {
    name = "migrate:resolve", tells_pending = true, run = resolve,
    summary = "Settle a migration that was broken off.",
    description = "A migration that runs without a transaction and fails is recorded as started. When you have looked "
      .. "at the database, say whether what it does is there.",
    examples = {
      { "heddle migrate:resolve 20260722101500_index --done", "it is there, or was completed by hand" },
      { "heddle migrate:resolve 20260722101500_index --undone", "it is not: it is pending again" },
    },
    arguments = function(parser)
      parser:argument("migration"):argname("MIGRATION"):description("Its name.")
      parser:flag("--done"):description("What it does is in the database.")
      parser:flag("--undone"):description("It is not.")
    end,
  },
  {
    name = "migrate:rollup", tells_pending = true, run = rollup,
    summary = "Make one migration of those that have run.",
    description = "Replaces the migrations that have run by one file with all that they do. Asks on a terminal; "
      .. "elsewhere it needs --yes.",
    examples = { { "heddle migrate:rollup --yes" } },
    arguments = function(parser)
      parser:option("-n --name"):argname("WORDS"):description("What the new one is called.")
      changes.add_yes(parser)
    end,
  },
}
