--- What of a database is a context's own: what its entities describe, what its snapshot does and what its migrations
--- make. Everything else may be somebody else's, another context's in another process too.
local dry = require("heddle.migrations.dry")
local files = require("heddle.migrations.files")
local made = require("heddle.migrations.made")
local model = require("heddle.schema.model")
local snapshot = require("heddle.migrations.snapshot")

local own = {}

local function key_of(context, kind, name, schema)
  return kind .. "\0" .. model.key(name, schema, context.driver_name)
end

local function note(known, context, kind, item, how)
  known[key_of(context, kind, item.name, item.schema)] = how
end

local function note_model(known, context, given, how)
  for _, t in ipairs(given and given.tables or {}) do note(known, context, "table", t, how) end
  for _, view in ipairs(given and given.views or {}) do note(known, context, "view", view, how) end
end

---Reads every file, so that one that cannot run is known of. Raises `migration`.
---@param context table
---@return fun(kind: string, name: string, schema: string|nil): "described"|"made"|nil
function own.of(context)
  local known, directory = {}, files.directory(context)
  note_model(known, context, snapshot.read(directory, context), "made")
  for _, entry in ipairs(files.list(directory, context.name)) do
    for _, line in ipairs(dry.lines(context, entry, files.load(entry, context).up)) do
      local found = made.by(line, context.driver_name)
      if found then note(known, context, found.kind, found, "made") end
    end
  end
  note_model(known, context, model.of(context), "described")
  return function(kind, name, schema) return known[key_of(context, kind, name, schema)] end
end

return own
