--- `heddle debug`: what is wrong with a project, and what to do about it.
local errors = require("heddle.errors")
local migrations = require("heddle.migrations.files")
local output = require("heddle.cli.output")
local project = require("heddle.cli.project")
local report = require("heddle.cli.report")

-- One line of the report: "ok", "to do" or "wrong", a subject, what was found; what to do stands under it.
local function tell(app, state, subject, found, advice)
  local colours = { ok = "green", ["to do"] = "yellow", wrong = "red" }
  app:say("  %s %-13s %s", app.style[colours[state]](("%-5s"):format(state)), subject, (found:gsub("\n", "\n      ")))
  if advice then app:say("  %s %s", (" "):rep(19), app.style.bold("-> " .. advice)) end
end

local function text_of(err)
  if not errors.is_error(err) then return tostring(err) end
  local more = err.cause or err.detail
  if errors.is_error(more) then more = more.message end
  more = type(more) == "string" and not err.message:find(more, 1, true) and ("\n" .. more) or ""
  local place = report.place_of(err)
  return err.message .. more:gsub("%s+$", "") .. (place and "\nat " .. place or "")
end

local function versions(app)
  local heddle = require("heddle")
  local jit = rawget(_G, "jit")
  local list = { heddle._VERSION, jit and (jit.version .. " (" .. _VERSION .. ")") or _VERSION }
  for _, name in ipairs({ "argparse", "lfs" }) do
    local ok, module = pcall(require, name)
    list[#list + 1] = ok and (name .. " " .. tostring(module.version or module._VERSION):gsub("^LuaFileSystem ", ""))
      or (name .. " missing")
  end
  app:say("%s", table.concat(list, ", "))
end

local VERSION_SQL = {
  postgres = "SELECT 'PostgreSQL ' || current_setting('server_version') AS version",
  sqlite = "SELECT 'SQLite ' || sqlite_version() AS version",
}

local CONNECTION_ADVICE = {
  postgres = "is the database there, and are host, port, user and password right?",
  sqlite = "is the path right, and may the file be read and written?",
}

local function check_connection(instance)
  local clock = require("heddle.core").clock
  local began = clock()
  instance:connect()
  local rows = instance:new_manager():execute(VERSION_SQL[instance.driver_name])
  return ("%s, reached in %s"):format(rows[1].version, output.duration(clock() - began))
end

local function check_entities(instance)
  local names = {}
  for i, mapping in ipairs(instance.mappings.list) do names[i] = mapping.name or mapping.table end
  if #names == 0 then return "to do", "none", "name their files in the configuration's list `entities`" end
  local shown = table.concat(names, ", ", 1, math.min(#names, 8)) .. (#names > 8 and ", ..." or "")
  return "ok", ("%d: %s"):format(#names, shown)
end

-- Raises what keeps a pending migration from being run at all: a file that is none, one of another context.
local function check_files(instance, is_pending)
  for _, entry in ipairs(migrations.list(migrations.directory(instance), instance.name)) do
    if is_pending[entry.name] then migrations.load(entry, instance) end
  end
end

local function check_migrations(instance)
  local pending, wrong, done, is_pending = 0, {}, 0, {}
  for _, one in ipairs(instance.migrator:status()) do
    if one.state == "done" then
      done = done + 1
    elseif one.state == "pending" then
      pending, is_pending[one.name] = pending + 1, true
    else
      wrong[#wrong + 1] = one.name .. " is " .. one.state
    end
  end
  local context = " --context " .. instance.name
  if #wrong > 0 then
    return "wrong", table.concat(wrong, ", "), ("put the files back as they were when they ran, or see `heddle "
      .. "migrate:resolve --help`; heddle migrate:status%s shows them all"):format(context)
  elseif pending > 0 then
    check_files(instance, is_pending)
    return "to do", ("%d pending, %d done"):format(pending, done), "heddle migrate" .. context, pending
  end
  return "ok", ("none pending, %d done"):format(done)
end

local function check_schema(instance, pending)
  local made = instance.schema:diff()
  local context, left = " --context " .. instance.name, #(made.left_out or {})
  if #made == 0 and left == 0 then return "ok", "as the entities say" end
  if #made == 0 then
    return "ok", ("as the entities say; %s that no entity describes: heddle schema:diff --unsafe%s"):format(
      output.count(left, "thing"), context)
  end
  local found = output.count(#made, "difference") .. " from what the entities say"
  if (pending or 0) > 0 then return "to do", found, "after heddle migrate: heddle schema:diff" .. context end
  return "to do", found, ("heddle schema:diff%s shows them, heddle migrate:create%s makes a migration")
    :format(context, context)
end

-- Runs one check; what it raises is its finding. Gives what the check gave behind its three words.
local function try(app, subject, advice, check, ...)
  local ok, state, found, what, more = pcall(check, ...)
  if not ok then
    if report.is_interrupted(state) then error(state, 0) end
    tell(app, "wrong", subject, text_of(state), advice)
    return "wrong"
  end
  tell(app, state, subject, found, what)
  return state, more
end

local function check_context(app, entry)
  app:say()
  app:say("%s", app.style.bold(("context %s (%s)"):format(errors.quote(entry.name), entry.file)))
  local all_good, instance = true, nil
  local function note(state) all_good = all_good and state == "ok" end
  note(try(app, "configuration", "mend " .. entry.file .. ", or the file that the message names", function()
    instance = app:instance(entry)
    return "ok", app:place(instance)
  end))
  if not instance then return false end
  note(try(app, "entities", nil, check_entities, instance))
  local reached = try(app, "connection", CONNECTION_ADVICE[instance.driver_name], function()
    return "ok", check_connection(instance)
  end)
  note(reached)
  if reached ~= "ok" then return false end
  local state, pending = try(app, "migrations", "mend the file", check_migrations, instance)
  note(state)
  note(try(app, "schema", nil, check_schema, instance, pending))
  return all_good
end

-- Every file by itself, so that one that does not load costs the others nothing.
local function load_all(app)
  local files, broken = app.args.config, false
  if not files or #files == 0 then files = { project.default_file } end
  local entries = {}
  for _, file in ipairs(files) do
    local ok, result = pcall(project.load, { file })
    for _, entry in ipairs(ok and result or {}) do entries[#entries + 1] = entry end
    if not ok then
      broken = true
      app:say()
      app:say("%s", app.style.bold(file))
      tell(app, "wrong", "configuration", text_of(result))
    end
  end
  if not broken then return app:selected_or_all(), false end
  return entries, true
end

local function run(app)
  versions(app)
  local entries, is_wrong = load_all(app)
  for _, entry in ipairs(entries) do app:try_instance(entry) end
  for _, entry in ipairs(entries) do
    if not check_context(app, entry) then is_wrong = true end
  end
  app:say()
  app:say("%s", is_wrong and app.style.yellow("Something is to be done: see above.") or app.style.green("All is well."))
  return is_wrong and 1 or 0
end

return {
  title = "Looking after a project",
  {
    name = "debug", run = run,
    summary = "Check configuration, entities, connections, migrations and schema.",
    description = "Checks every context by itself and says what to do. Exit code 1 when something is wrong or to be "
      .. "done.",
    examples = { { "heddle debug" }, { "heddle debug --context secondary", "one context" } },
  },
}
