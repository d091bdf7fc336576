--- `heddle init`: a project that runs at once.
local errors = require("heddle.errors")
local files = require("heddle.cli.files")
local output = require("heddle.cli.output")
local scaffold = require("heddle.cli.scaffold")

local DRIVERS = { "sqlite", "postgres" }

local function read_names(app, text)
  local names, seen = {}, {}
  for name in (text .. ","):gmatch("%s*([^,]-)%s*,") do
    if not name:find("^%l[%l%d_]*$") then
      app:misuse("a database's name is made of small letters, digits and '_', such as 'app'; got %s",
        errors.quote(name))
    end
    if seen[name] or #names > 0 and name == "default" then
      app:misuse("the database %s is named twice; the first one is the context 'default'", errors.quote(name))
    end
    seen[name], names[#names + 1] = true, name
  end
  return names
end

local function read_driver(app, args)
  if args.driver then return args.driver end
  local answer = app:ask("Which database? sqlite or postgres [sqlite]")
  if answer == nil or answer == "" then return "sqlite" end
  for _, name in ipairs(DRIVERS) do
    if name:sub(1, #answer) == answer:lower() then return name end
  end
  app:misuse("the driver is 'sqlite' or 'postgres'; got %s", errors.quote(answer))
end

local function read_databases(app, args)
  if args.databases then return read_names(app, args.databases) end
  local answer = app:ask("Names of the databases, the first one is the context 'default' [app]")
  if answer == nil or answer == "" then return { "app" } end
  return read_names(app, answer)
end

local function tell_next(app, directory, count, driver)
  local all = count > 1 and " --all" or ""
  local lua = rawget(_G, "jit") and "luajit" or ("lua" .. _VERSION:match("%d.*"))
  app:say()
  app:say("%s", app.style.bold("Next:"))
  if directory ~= "" then app:say("  cd %s", directory) end
  if driver == "postgres" then app:say("  edit .env                 where PostgreSQL is; the databases must exist") end
  app:say("  heddle migrate:create --name initial%s", all)
  app:say("  heddle migrate%s", all)
  app:say("  %s main.lua", lua)
end

local function run(app, args)
  local lfs = require("lfs")
  local directory = (args.directory or "."):gsub("/+$", "")
  directory = directory == "." and "" or directory == "" and "/" or directory
  local driver, names = read_driver(app, args), read_databases(app, args)
  local prefix, left = directory == "" and "" or (directory .. "/"), 0
  for _, file in ipairs(scaffold.files(names, driver)) do
    local path = prefix .. file[1]
    if lfs.symlinkattributes(path, "mode") then
      left = left + 1
      app:say("  %s %s", app.style.yellow("left alone"), path)
    else
      files.write(app, path, file[2])
      app:say("  %s    %s", app.style.green("created"), path)
    end
  end
  if left > 0 then
    app:say("%s left alone: what was there already stays as it is.", output.count(left, "file"))
  end
  tell_next(app, directory, #names, driver)
end

return {
  title = "Project",
  {
    name = "init",
    summary = "Make a project that runs at once.",
    description = "Writes configuration, entities, a program and directories for migrations and seeds. Files that are "
      .. "there are left alone.",
    examples = {
      { "heddle init", "here, on SQLite; asks on a terminal" },
      { "heddle init shop --driver postgres", "in the directory shop" },
      { "heddle init --databases app,secondary", "two databases: contexts 'default' and 'secondary'" },
    },
    arguments = function(parser)
      parser:argument("directory"):args("?"):argname("DIRECTORY"):description("Where (default: here).")
      parser:option("--driver"):choices(DRIVERS):description("Default: sqlite.")
      parser:option("--databases"):argname("NAMES"):description("Names, separated by commas (default: app).")
    end,
    run = run,
  },
}
