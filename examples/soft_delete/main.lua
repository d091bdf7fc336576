-- Soft delete, built on a listener of on_flush and a named filter. README.md tells why it is done so.
--
--     lua5.4 main.lua       makes projects.db beside this file
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
package.path = here .. "?.lua;" .. package.path

local orm = require("heddle")
local soft_delete = require("soft_delete")
local entities = require("entities")

local Project, Task, Comment = entities[1], entities[2], entities[3]

local office = orm.init { driver = "sqlite", database = here .. "projects.db", entities = entities }
office.schema:drop()
office.schema:create()
soft_delete.install(office, entities)

local function say(format, ...) print("  " .. format:format(...)) end

local function chapter(title, tell)
  print("\n" .. title)
  orm.request_context(function() tell(orm.em()) end)
end

local function titles(list)
  local words = {}
  for i, e in ipairs(list) do words[i] = e.name or e.title end
  return #words > 0 and table.concat(words, ", ") or "nothing"
end

local function tell_rows(em)
  say("projects: %s", titles(em:find_all(Project, { order_by = { "name" } })))
  say("tasks:    %s", titles(em:find_all(Task, { order_by = { "title" } })))
  say("rows:     %d projects, %d tasks, %d comments", em:count(Project, {}, { filters = false }),
    em:count(Task, {}, { filters = false }), em:count(Comment, {}))
end

chapter("1. Two projects", function(em)
  for _, name in ipairs({ "Loom", "Spindle" }) do
    local task = em:create(Task, { title = "Build the " .. name })
    task.comments:add(em:create(Comment, { text = "How?" }))
    local project = em:create(Project, { name = name })
    project.tasks:add(task)
    em:persist(project)
  end
  em:flush()
  tell_rows(em)
end)

chapter("2. A removal is an update, and takes along what it would take along", function(em)
  local loom = em:find_one(Project, { name = "Loom" })
  em:remove_and_flush(loom)
  say("%s: deleted_at is %s, the entity manager %s it", loom.name, type(loom.deleted_at),
    em:contains(loom) and "has" or "has not")
  tell_rows(em)
end)

chapter("3. The name is free again", function(em)
  em:persist_and_flush(em:create(Project, { name = "Loom" }))
  tell_rows(em)
end)

chapter("4. A task comes back, without its comments", function(em)
  local task = em:find_one(Task, { title = "Build the Loom" }, soft_delete.with_deleted)
  soft_delete.restore(task)
  task.project = em:find_one(Project, { name = "Loom" })
  em:flush()
  tell_rows(em)
end)

chapter("5. A project that has to go for good, goes", function(em)
  local dead = em:find(Project, { deleted_at = orm.op.not_null() }, soft_delete.with_deleted)
  for _, project in ipairs(dead) do soft_delete.purge(em, project) end
  em:flush()
  tell_rows(em)
end)

orm.close()
