--- `heddle schema:*`: the tables of the entities, without migrations.
local changes = require("heddle.cli.changes")
local output = require("heddle.cli.output")

local function create(app, args)
  return app:each(function(instance)
    if args.dry_run then return changes.print_sql(app, instance.schema:create_sql()) end
    instance.schema:create()
    app:say("%s of context '%s' created.", output.count(#instance.mappings.list, "table"), instance.name)
  end, args.dry_run and "sql" or nil)
end

local function drop(app, args)
  return app:each(function(instance)
    if args.dry_run then return changes.print_sql(app, instance.schema:drop_sql()) end
    app:confirm(("This drops every table of context '%s' (%s), with its rows."):format(instance.name,
      app:place(instance)))
    instance.schema:drop()
    app:say("The tables of context '%s' are dropped.", instance.name)
  end, args.dry_run and "sql" or nil)
end

-- Before anything may be dropped, it is known whose tables are whose.
local function options_of(app, args)
  local options = changes.options(app, args, "safe")
  if args.unsafe then app:load_all() end
  return options
end

local function diff(app, args)
  local options = options_of(app, args)
  return app:each(function(instance)
    local made = instance.schema:diff(options)
    changes.print_sql(app, made)
    changes.tell_rest(app, made)
    if #made == 0 then app:note("Context '%s': the schema is up to date.", instance.name) end
    return args.check and #made > 0 and 1 or 0
  end, "sql")
end

local function update(app, args)
  local options = options_of(app, args)
  return app:each(function(instance)
    local planned = instance.schema:diff(options)
    if args.dry_run or #planned == 0 then
      changes.print_sql(app, planned)
      changes.tell_rest(app, planned)
      if #planned == 0 then
        (args.dry_run and app.note or app.say)(app, "Context '%s': the schema is up to date.", instance.name)
      end
      return
    end
    if args.unsafe then
      for _, text in ipairs(planned) do app:note("  %s;", text) end
      app:confirm(("This changes context '%s' (%s) and may drop tables and columns with what is in them."):format(
        instance.name, app:place(instance)))
    end
    local made = instance.schema:update(options)
    app:say("Context '%s': %s run.", instance.name, output.count(#made, "statement"))
    for _, text in ipairs(made) do app:say("  %s", output.one_line(text, 160)) end
    changes.tell_rest(app, made)
  end, args.dry_run and "sql" or nil)
end

return {
  title = "Schema (without migrations: for development and tests)",
  {
    name = "schema:create", tells_pending = true, run = create,
    summary = "Create the tables of the entities.",
    description = "Creates the tables of the entities, all or none. Where some exist, schema:update adds the others.",
    examples = {
      { "heddle schema:create" },
      { "heddle schema:create --dry-run > schema.sql", "the SQL, nothing is run" },
    },
    arguments = changes.add_dry_run,
  },
  {
    name = "schema:update", tells_pending = true, run = update,
    summary = "Change the database until it is what the entities say.",
    description = "Changes the database until it is what the entities say, in one transaction. Drops nothing unless "
      .. "--unsafe is given, which shows the SQL and asks first.",
    examples = {
      { "heddle schema:update --dry-run", "what would be run" },
      { "heddle schema:update --rename users.name=full_name", "a column with another name" },
      { "heddle schema:update --unsafe --yes", "dropped columns and tables too, without a question" },
    },
    arguments = function(parser)
      changes.add_options(parser, "safe")
      changes.add_dry_run(parser)
      changes.add_yes(parser)
    end,
  },
  {
    name = "schema:diff", tells_pending = true, run = diff,
    summary = "Print the SQL that schema:update would run.",
    description = "Prints the SQL that schema:update would run: nothing when the database is up to date.",
    examples = {
      { "heddle schema:diff --unsafe", "with what would be dropped" },
      { "heddle schema:diff --check", "exit code 1 when there is a difference" },
    },
    arguments = function(parser)
      changes.add_options(parser, "safe")
      parser:flag("--check"):description("Exit code 1 when there is a difference.")
    end,
  },
  {
    name = "schema:drop", tells_pending = true, run = drop,
    summary = "Drop the tables of the entities, with their rows.",
    description = "Drops the tables of the entities, with their rows. Asks on a terminal; elsewhere it needs --yes.",
    examples = { { "heddle schema:drop --yes" }, { "heddle schema:drop --dry-run", "the SQL, nothing is run" } },
    arguments = function(parser)
      changes.add_dry_run(parser)
      changes.add_yes(parser)
    end,
  },
}
