--- From what a database holds to the steps that make it what the entities say: introspection, normal form, comparison
--- and plan of the driver, one behind the other.
local compare = require("heddle.schema.compare")
local model = require("heddle.schema.model")
local registry = require("heddle.registry")

local differ = {}

local function room(context, name)
  return require("heddle.schema." .. context.driver_name .. "." .. name)
end

-- Whose tables are where ours are.
local function is_same_database(a, b)
  if a.driver_name ~= b.driver_name or a == b or b.closed then return false end
  for _, key in ipairs({ "host", "port", "database" }) do
    if a.config[key] ~= b.config[key] then return false end
  end
  return true
end

---Whether a table or view is another context's of this process, on the same database.
---@param context table
---@return fun(item: table): boolean
function differ.others(context)
  local taken, by_name = {}, {}
  for _, name in ipairs(registry.names()) do
    local other = registry.get(name)
    if is_same_database(context, other) then
      local wanted = model.of(other)
      for _, list in ipairs({ wanted.tables, wanted.views }) do
        for _, item in ipairs(list) do
          taken[model.key(item.name, item.schema, context.driver_name)] = true
          by_name[model.key(item.name, nil, context.driver_name)] = true
        end
      end
    end
  end
  -- Where one of the schemas is not known here, since it is the server that says which is the session's own, the name
  -- is enough.
  return function(item)
    local schema, name = item.schema or context.config.schema, model.key(item.name, nil, context.driver_name)
    return (schema and (taken[name] or taken[model.key(item.name, schema, context.driver_name)])
      or not schema and by_name[name]) or false
  end
end

local function schemas_of(wanted)
  local names, seen = {}, {}
  for _, list in ipairs({ wanted.tables, wanted.views }) do
    for _, item in ipairs(list) do
      if item.schema and not seen[item.schema] then
        seen[item.schema] = true
        names[#names + 1] = item.schema
      end
    end
  end
  return names
end

---What the database holds, as far as the entities could mean it.
---@param context table
---@param link userdata
---@return table model
function differ.live(context, link)
  return room(context, "introspect").read(context, link, { schemas = schemas_of(model.of(context)) })
end

---What the entities ask for, in the database's own words. Raises `metadata` for a text that it refuses.
---@param context table
---@param link userdata
---@return table model
function differ.wanted(context, link)
  return room(context, "normal").of(context, link, model.of(context))
end

---The steps that lead from one model to another. Raises `migration` for what cannot be done.
---@param context table
---@param link userdata
---@param from table model
---@param to table model in the same words
---@param opts table { safe, rename, drop_tables, is_kept } as compare takes them, { live = true } where `from` is what
---  the database holds now, { reverse = true } for what takes a change back
---@return table steps
---@return table changes
function differ.steps(context, link, from, to, opts)
  local changes = compare.changes(from, to, opts)
  if compare.is_empty(changes) then return {}, changes end
  return room(context, "plan").steps(changes, to, context, link, opts), changes
end

-- A context that has migrated this database, and of which nobody here knows what is its.
local function stranger_of(context, link)
  local record, place = require("heddle.migrations.record"), { context = context, link = link }
  record.locate(place)
  if not record.is_ours(place) then return nil end
  for _, name in ipairs(record.others(place)) do
    if not registry.has(name) then return name end
  end
end

---The steps that make the database what the entities say.
---@param context table
---@param link userdata
---@param opts table { safe, rename, drop_tables }
---@return table steps
---@return table changes
function differ.update(context, link, opts)
  local drops, stranger = opts.drop_tables, nil
  if opts.safe == false and drops ~= false then stranger = stranger_of(context, link) end
  if stranger then drops = false end
  local steps, changes = differ.steps(context, link, differ.live(context, link), differ.wanted(context, link), {
    safe = opts.safe, rename = opts.rename, drop_tables = drops,
    is_kept = differ.others(context), live = true,
  })
  if stranger and #changes.left_out > 0 then
    table.insert(changes.left_out, 1, ("migrations of context '%s' have run in this database, and this process does "
      .. "not know it: what no entity describes may be its"):format(stranger))
  end
  return steps, changes
end

---The SQL of a step: one text, or on SQLite the several of a table that is made anew.
---@param context table
---@param link userdata
---@param step string|table
---@return string[]
function differ.texts(context, link, step)
  if type(step) == "string" then return { step } end
  return room(context, "rebuild").statements(context, link, step)
end

return differ
