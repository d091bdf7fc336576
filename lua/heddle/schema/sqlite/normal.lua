--- The schema that is wanted as the database would tell it: what is rendered, read as introspection reads it.
local errors = require("heddle.errors")
local introspect = require("heddle.schema.sqlite.introspect")
local parse = require("heddle.schema.sqlite.parse")
local read = require("heddle.schema.sqlite.read")
local render = require("heddle.schema.render")
local tokens = require("heddle.schema.sqlite.tokens")

local normal = {}

local function raise(context, wanted, sql, why)
  errors.raise("metadata", ("The table '%s' of %s cannot be made: in its SQL, %s; look at its checks, defaults, "
    .. "generated columns and indexes"):format(wanted.name, wanted.entity and "entity " .. wanted.entity
    or "context '" .. context.name .. "'", why), { context = context.name, entity = wanted.entity, sql = sql })
end

local function table_of(context, wanted)
  local sql = render.create_table(wanted, "sqlite")
  local parsed, why = parse.table(sql)
  if not parsed then raise(context, wanted, sql, why) end
  local made = read.table(parsed)
  made.name, made.entity, made.comment = wanted.name, wanted.entity, wanted.comment
  for i, column in ipairs(made.columns) do
    local said = wanted.columns[i]
    column.property, column.kind, column.comment = said.property, said.kind, said.comment
    column.kind = wanted.columns[i].kind
  end
  for i, index in ipairs(wanted.indexes) do
    local text = render.index(wanted, index, "sqlite")
    local found, problem = parse.index(text)
    if not found then raise(context, wanted, text, problem) end
    made.indexes[i] = read.index(found, made)
  end
  return made
end

---The wanted model in the form in which `introspect.read` would give it.
---@param context table
---@param _ userdata|nil link; no database is asked
---@param wanted table model
---@return table model
function normal.of(context, _, wanted)
  local model, by_name = { driver = "sqlite", tables = {}, views = {} }, {}
  for i, each in ipairs(wanted.tables) do
    model.tables[i] = table_of(context, each)
    by_name[tokens.fold(each.name)] = model.tables[i]
  end
  for i, view in ipairs(wanted.views) do
    local form, text = read.view(render.view(view))
    model.views[i] = { name = view.name, entity = view.entity, sql = form or view.sql, source = text or view.sql }
  end
  introspect.resolve(model.tables, by_name)
  return model
end

return normal
