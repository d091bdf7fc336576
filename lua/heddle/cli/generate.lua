--- `heddle entities:generate`, `types` and `schema:diagram`: files that are written from what is there.
local output = require("heddle.cli.output")
local suggest = require("heddle.suggest")
local write = require("heddle.cli.files").write

-- Files ----------------------------------------------------------------------------------------------------------

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function join(base, path)
  if base == "" or path:sub(1, 1) == "/" then return path end
  return base .. "/" .. path
end

-- entities:generate ------------------------------------------------------------------------------------------------

-- The directory of the first pattern of files that the configuration has for its entities.
local function directory_of(app, args, entry)
  if args.out then return args.out end
  for _, item in ipairs(type(entry.config.entities) == "table" and entry.config.entities or {}) do
    local directory = type(item) == "string" and item:match("^([^*?%[]*)/[^/]*%.lua$")
    if directory then return join(entry.base, directory) end
  end
  if #app:selected() > 1 then return join(entry.base, "entities/" .. tostring(entry.name)) end
  return join(entry.base, "entities")
end

-- The database is read without the entities that there may be: they need not load, nor fit it.
local function instance_of(entry)
  local config = {}
  for key, value in pairs(entry.config) do config[key] = value end
  config.entities = {}
  require("heddle")
  return require("heddle.context").init(config, entry.base)
end

local function read(entry, opts)
  local instance = instance_of(entry)
  local ok, files, notes = pcall(require("heddle.generate").read, instance, opts)
  instance:close()
  if not ok then error(files, 0) end
  return files, notes
end

local function print_files(app, files)
  for _, file in ipairs(files) do
    app:say("-- %s", file.path)
    app:say("%s", file.text)
  end
end

local function write_files(app, args, files)
  local there = {}
  for _, file in ipairs(files) do
    if exists(file.path) and not args.force then there[#there + 1] = file.path end
  end
  if #there > 0 then
    app:fail("nothing was written: %s there already (%s). Give --force to write over %s, or --out DIR",
      #there == 1 and "a file is" or output.count(#there, "file") .. " are", table.concat(there, ", "),
      #there == 1 and "it" or "them")
  end
  for _, file in ipairs(files) do
    write(app, file.path, file.text)
    app:say("%s  %s  (%s)", app.style.green("written"), file.path, file.table)
  end
end

local function generate(app, args)
  for _, entry in ipairs(app:selected()) do
    local function given(list) return #list > 0 and list or nil end
    local files, notes = read(entry, {
      tables = given(args.table), exclude = given(args.exclude), schemas = given(args.schema),
    })
    local directory = directory_of(app, args, entry)
    for _, file in ipairs(files) do file.path = join(directory, file.name) end
    for _, note in ipairs(notes) do app:warn("%s", note) end
    if args.dry_run then print_files(app, files) else write_files(app, args, files) end
  end
end

-- types --------------------------------------------------------------------------------------------------------------

local function types(app, args)
  local instances = {}
  for i, entry in ipairs(app:entries()) do instances[i] = app:instance(entry) end
  local text, shadowed = require("heddle.lua_cats").text(instances)
  for _, name in ipairs(shadowed) do
    app:warn("several contexts have an entity '%s'; the file describes the first one's", name)
  end
  if args.out == "-" then return app:say("%s", (text:gsub("\n$", ""))) end
  local path = args.out or join(app:entries()[1].base, "types/heddle.lua")
  write(app, path, text)
  app:say("%s  %s", app.style.green("written"), path)
end

-- schema:diagram -----------------------------------------------------------------------------------------------------

local endings = { svg = "svg", dot = "dot", gv = "dot", mmd = "mermaid", mermaid = "mermaid", md = "mermaid" }

local function format_of(app, args)
  if args.format then return args.format end
  if not args.out then return "mermaid" end
  local ending = args.out:match("%.(%w+)$")
  if not (ending and endings[ending]) then
    app:misuse("what is '%s' to be written in? Give --format mermaid, dot or svg%s", args.out,
      ending and suggest.hint(ending, endings) or "")
  end
  return endings[ending]
end

local function diagram(app, args)
  local format = format_of(app, args)
  if args.out and #app:selected() > 1 then app:misuse("--out takes one diagram; give --context NAME") end
  return app:each(function(instance)
    local text = instance.schema:diagram(format)
    if not args.out then return app:say("%s", (text:gsub("\n$", ""))) end
    if args.out:find("%.md$") then text = "```mermaid\n" .. text .. "```\n" end
    write(app, args.out, text)
    app:say("%s  %s", app.style.green("written"), args.out)
  end)
end

return {
  title = "Files from what is there",
  {
    name = "entities:generate",
    summary = "Write entities from an existing database.",
    description = "Reads the database of a context and writes a file for each table, with relations and many_to_many "
      .. "recognised. A diff right after is empty. Files that are there are not written over.",
    examples = {
      { "heddle entities:generate", "into the directory that the configuration names" },
      { "heddle entities:generate --dry-run", "print them" },
      { "heddle entities:generate --table 'film*' --table actor", "these tables" },
      { "heddle entities:generate --schema crew --out src/entities", "tables of another schema, too" },
    },
    arguments = function(parser)
      parser:option("--out"):argname("DIR"):description("Where to (default: the directory of 'entities').")
      parser:option("--table"):args(1):count("*"):argname("NAME")
        :description("A table or view, * for any letters; may be given several times (default: all).")
      parser:option("--exclude"):args(1):count("*"):argname("NAME"):description("All but these.")
      parser:option("--schema"):args(1):count("*"):argname("NAME")
        :description("A schema of PostgreSQL beside the connection's own.")
      parser:flag("--dry-run"):description("Print the files, write nothing.")
      parser:flag("--force"):description("Write over files that are there.")
    end,
    run = generate,
  },
  {
    name = "types",
    summary = "Write LuaCATS classes of the entities for editors.",
    description = "Writes classes of the entities of every context, and of Heddle's calls, so that an editor with a "
      .. "Lua language server completes and checks them.",
    examples = {
      { "heddle types", "types/heddle.lua beside the configuration" },
      { "heddle types --out .lua/heddle.lua", "another file" },
      { "heddle types --out -", "standard output" },
    },
    arguments = function(parser)
      parser:option("--out"):argname("FILE"):description("The file (default: types/heddle.lua).")
    end,
    run = types,
  },
  {
    name = "schema:diagram",
    summary = "Draw an entity-relationship diagram.",
    description = "Tables with their columns, and what refers to what: Mermaid (for Markdown), DOT (for Graphviz) or "
      .. "SVG, which needs no further tools.",
    examples = {
      { "heddle schema:diagram --out schema.svg", "a drawing" },
      { "heddle schema:diagram > schema.mmd", "Mermaid" },
      { "heddle schema:diagram --format dot | dot -Tpdf > schema.pdf", "with Graphviz" },
    },
    arguments = function(parser)
      parser:option("--format"):choices({ "mermaid", "dot", "svg" }):argname("FORMAT")
        :description("mermaid, dot or svg (default: by the ending of --out, else mermaid).")
      parser:option("--out"):argname("FILE"):description("The file (default: standard output).")
    end,
    run = diagram,
  },
}
