--- The files of a new project: texts in which {{words}} are replaced.
local scaffold, texts = {}, {}

-- How each configuration begins.
texts.head = [[
local orm = require "heddle"

local here = debug.getinfo(1, "S").source:match "^@(.*/)" or ""
local env = io.open(here .. ".env")
if env then
  env:close()
  orm.env(here .. ".env")
end
]]

-- The first database is the context "default"; each further one has a configuration, a directory of entities and one of
-- migrations of its own name.
texts.config = [[
-- The databases of this project. The heddle command reads this file; main.lua does too.
{{head}}
local config = orm.config_from_env("DB", {
  entities = { "entities/*.lua" },
})
{{sqlite}}
{{result}}
]]

texts.further_config = [[
-- The context "{{name}}". orm.config.lua loads this file; alone it is `--config={{file}}`.
{{head}}
local config = orm.config_from_env("{{prefix}}", {
  context_name = "{{name}}",
  entities = { "entities/{{name}}/*.lua" },
})
{{sqlite}}
return config
]]

texts.sqlite = [[

-- A database file lies beside this one, wherever the program is started from.
if config.driver == "sqlite" and config.database and not config.database:find "^[/:]" then
  config.database = here .. config.database
end
]]

texts.entity = [[
local orm = require "heddle"

return orm.entity {
  name = "User", table = "users",
  { "id",         type = "integer", primary = true },
  { "email",      type = "string", length = 255, unique = true },
  { "name",       type = "string", length = 100 },
  { "created_at", type = "timestamp", on_create = orm.now },
}
]]

texts.further_entity = [[
local orm = require "heddle"

return orm.entity {
  name = "{{entity}}", table = "{{table}}",
  { "id",         type = "integer", primary = true },
  -- The user lives in another database, where no foreign key reaches: a plain number.
  { "user_id",    type = "integer", nullable = true, index = true },
  { "event",      type = "string", length = 100 },
  { "created_at", type = "timestamp", on_create = orm.now },
}
]]

texts.main = [[
-- Run it again and again: lua main.lua
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or ""
package.path = here .. "?.lua;" .. package.path

local orm = require "heddle"
local User = require "entities.user"
{{requires}}
{{init}}

-- Each piece of work has an entity manager of its own, which forgets everything at its end.
orm.request_context(function()
  local em = orm.em()
  local number = em:count(User, {}) + 1
  local user = em:create(User, { name = "User " .. number, email = ("user%d@example.com"):format(number) })
  em:persist_and_flush(user)
  print(("created %s, user %d of %d"):format(user.email, user.id, em:count(User, {})))
{{work}}end)

orm.close()
]]

texts.work = [[

  local logs = orm.em "{{name}}"
  logs:persist_and_flush(logs:create({{entity}}, { user_id = user.id, event = "user_created" }))
  print(("{{name}}: %d rows"):format(logs:count({{entity}}, {})))
]]

texts.seed = [[
-- `heddle seed` runs the files of this directory, in the order of their names; this one as often as you like.
return function(em, seed)
  for n = 1, 5 do
    em:upsert("User", { email = ("person%d@example.com"):format(n), name = seed.fake:name() })
  end
end
]]

texts.gitignore = [[
.env
*.db
*.db-wal
*.db-shm
*.db-journal
]]

texts.env = {
  sqlite = [[
# The context "{{name}}": a file beside the configuration.
{{prefix}}_DRIVER=sqlite
{{prefix}}_NAME={{database}}.db
]],
  postgres = [[
# The context "{{name}}".
{{prefix}}_DRIVER=postgres
{{prefix}}_HOST=localhost
{{prefix}}_PORT=5432
{{prefix}}_NAME={{database}}
{{prefix}}_USER=postgres
{{prefix}}_PASSWORD=postgres
]],
}

local function fill(text, values)
  return (text:gsub("{{([%w_]+)}}", values))
end

local function config_file(name)
  return ("orm-%s.config.lua"):format(name)
end

local function entity_of(name)
  local words = (name:gsub("_+(%w)", string.upper):gsub("^%w", string.upper))
  return words .. "Log", name .. "_logs"
end

local function describe(names, driver)
  local databases = {}
  for i, name in ipairs(names) do
    local entity, table_name = entity_of(name)
    databases[i] = {
      name = i == 1 and "default" or name, database = name == "default" and "app" or name,
      prefix = i == 1 and "DB" or ("DB_" .. name:upper()), file = config_file(name),
      entity = entity, table = table_name, head = texts.head, sqlite = driver == "sqlite" and texts.sqlite or "",
    }
  end
  return databases
end

local function main_file(databases)
  local requires, work = {}, {}
  for i = 2, #databases do
    local one = databases[i]
    requires[#requires + 1] = ("local %s = require \"entities.%s.%s_log\"\n"):format(one.entity, one.name, one.name)
    work[#work + 1] = fill(texts.work, one)
  end
  local init = "orm.init(dofile(here .. \"orm.config.lua\"))"
  if #databases > 1 then
    init = "for _, config in ipairs(dofile(here .. \"orm.config.lua\")) do orm.init(config) end"
  end
  return fill(texts.main, {
    requires = table.concat(requires), init = init, work = table.concat(work),
  })
end

---The files of a project, in the order in which they are told; a path that ends with "/" is a directory.
---@param names string[] of databases; the first is the context "default"
---@param driver "sqlite"|"postgres"
---@return table[] files { path, text }
function scaffold.files(names, driver)
  local databases, files, env, result = describe(names, driver), {}, {}, { "config" }
  local function add(path, text) files[#files + 1] = { path, text } end
  for i = 2, #databases do result[i] = ("dofile(here .. %q)"):format(databases[i].file) end
  add("orm.config.lua", fill(texts.config, {
    head = texts.head, sqlite = databases[1].sqlite,
    result = #databases == 1 and "return config" or ("return {\n  %s,\n}"):format(table.concat(result, ",\n  ")),
  }))
  for i, one in ipairs(databases) do
    if i > 1 then add(one.file, fill(texts.further_config, one)) end
    env[i] = fill(texts.env[driver], one)
  end
  add("entities/user.lua", texts.entity)
  for i = 2, #databases do
    add(("entities/%s/%s_log.lua"):format(databases[i].name, databases[i].name),
      fill(texts.further_entity, databases[i]))
  end
  for i, one in ipairs(databases) do
    add((i == 1 and "migrations" or "migrations/" .. one.name) .. "/.gitkeep", "")
    if i == 1 then add("seeds/users.lua", texts.seed) else add("seeds/" .. one.name .. "/.gitkeep", "") end
  end
  add("main.lua", main_file(databases))
  add(".env", table.concat(env, "\n"))
  add(".env.example", table.concat(env, "\n"))
  add(".gitignore", texts.gitignore)
  return files
end

return scaffold
