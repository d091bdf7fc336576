--- Entities from a database that is there: `heddle entities:generate`.
---
--- `generate/fit.lua` says which foreign keys are relations and which tables are pairs, `plan.lua` names entities and
--- properties, `constraints.lua` places keys, indexes and checks, `text.lua` writes. A diff right after is empty.
local constraints = require("heddle.generate.constraints")
local errors = require("heddle.errors")
local choice = require("heddle.generate.choice")
local plan = require("heddle.generate.plan")
local text = require("heddle.generate.text")
local views = require("heddle.generate.views")
local written = require("heddle.generate.written")

local generate = {}

local function chosen(tables, opts)
  local list = {}
  for _, t in ipairs(tables) do
    if choice.takes(t, opts) then list[#list + 1] = t end
  end
  return list
end

-- What kinds of table Heddle could not make again.
local function note_kinds(tables, notes)
  for _, t in ipairs(tables) do
    if t.kind then
      notes[#notes + 1] = ("table '%s' is %s: rows are read and written, Heddle does not make such tables"):format(
        t.name, t.kind)
    end
  end
end

local function note_left(entity, notes)
  for _, item in ipairs(entity.left) do
    notes[#notes + 1] = ("table '%s': foreign key%s (%s) becomes no relation: %s; a diff that may drop would drop it")
      :format(entity.table.name, item.fk.name and " '" .. item.fk.name .. "'" or "",
        table.concat(item.fk.columns, ", "), item.reason)
  end
end

local function add_views(entities, model, opts, notes)
  local taken = {}
  for _, entity in ipairs(entities) do taken[entity.file] = entity end
  for _, view in ipairs(chosen(model.views, opts)) do
    local made = not view.materialized and views.entity(view, opts.view_columns or {}, taken)
    if made then
      entities[#entities + 1] = made
    else
      notes[#notes + 1] = ("view '%s'%s becomes no entity"):format(view.name, view.materialized
        and ", which is materialized," or "")
    end
  end
end

---The files of entities for a schema model.
---
---Usage: `for _, file in ipairs(generate.files(model, { naming = naming.strategy() })) do print(file.text) end`
---@param model table as introspection gives it
---@param opts table `naming` (a strategy), `tables`, `exclude` (names and patterns), `view_columns`
---@return table[] files { name = "track.lua", text, entity = "Track", table = "tracks" }
---@return string[] notes what a person should know
function generate.files(model, opts)
  local tables = chosen(model.tables, opts)
  local entities, notes = plan.entities(tables, model.driver)
  note_kinds(tables, notes)
  local files, env = {}, { driver = model.driver, naming = opts.naming }
  for _, entity in ipairs(entities) do
    constraints.place(entity, model.driver)
    note_left(entity, notes)
  end
  add_views(entities, model, opts, notes)
  for i, entity in ipairs(entities) do
    files[i] = { name = entity.file .. ".lua", text = text.entity(entity, env), entity = entity.name,
      table = entity.table.name }
  end
  return files, notes
end

---Reads a context's database and gives the files. Raises what the database says, and `config` when nothing is chosen.
---@param context table
---@param opts? table `tables`, `exclude`, `schemas`
---@return table[] files
---@return string[] notes
function generate.read(context, opts)
  opts = opts or {}
  local link = context:link()
  local introspect = require("heddle.schema." .. context.driver_name .. ".introspect")
  local ok, model, columns = require("heddle.compat").pcall(function()
    local read = introspect.read(context, link, { schemas = opts.schemas })
    written.restore(read)
    return read, views.columns(context, link)
  end)
  link:close()
  if not ok then error(model, 0) end
  local files, notes = generate.files(model, {
    naming = context.config.naming, tables = opts.tables, exclude = opts.exclude, view_columns = columns,
  })
  if #files == 0 then
    errors.raise("config", ("Context '%s': no table to make an entity of; the database has %d tables"):format(
      context.name, #model.tables), { context = context.name })
  end
  return files, notes
end

return generate
