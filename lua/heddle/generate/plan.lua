--- What entities a schema model becomes: names of entities and properties, relations with both sides, pairs.
---
---     entity = { name, table, properties = { property, ... }, left = { { fk, reason } } }
---     property = { name, column = the model's } or { name, relation = { fk, ... }, target = entity, kind }
---             or { name, inverse = property, target = entity, kind } or { name, pivot, target = entity }
local fit = require("heddle.generate.fit")
local model = require("heddle.schema.model")
local words = require("heddle.generate.words")

local plan = {}

local function note(run, format, ...)
  run.notes[#run.notes + 1] = format:format(...)
end

-- Entities -------------------------------------------------------------------------------------------------------

-- Names are taken by what their file is called, which may be one for two spellings.
local function entity_name(run, t)
  local name = words.entity(t.name)
  local wanted = { words.of_entity(name) }
  if t.schema then wanted[2] = words.of_entity(words.pascal(words.property(t.schema)) .. name) end
  local owner = run.names[wanted[1]]
  local file = words.free(run.names, wanted, t)
  if file == wanted[1] then return name, file end
  local other = words.pascal(file)
  note(run, "table '%s': the entity is called %s, because table '%s' has %s", model.path(t), other,
    model.path(owner), name)
  return other, file
end

local function add_entity(run, t)
  local name, file = entity_name(run, t)
  local entity = { name = name, file = file, table = t, properties = {}, taken = {}, left = run.left[t] }
  run.entities[#run.entities + 1], run.by_table[t] = entity, entity
end

-- Properties -----------------------------------------------------------------------------------------------------

local function add(entity, property, names)
  property.entity = entity
  property.name = words.free(entity.taken, names, property)
  return property
end

-- The relation that a column begins, and whether it stands in one at all.
local function by_column(relations)
  local first, inside = {}, {}
  for _, relation in ipairs(relations) do
    for i, name in ipairs(relation.fk.columns) do
      inside[name] = true
      if i == 1 then first[name] = relation end
    end
  end
  return first, inside
end

local function relation_names(run, relation)
  local target = words.of_entity(run.by_table[relation.target].name)
  local columns = relation.fk.columns
  if #columns > 1 then
    local prefix = words.common(columns, relation.target.primary.columns)
    return { prefix or target, target, target .. "_by_" .. words.property(columns[1]) }
  end
  local name = words.relation(columns[1], relation.target.primary.columns[1]) or target
  return { name, target, name .. "_" .. target }
end

-- Columns of the key come first, in its order; the rest as the table has them.
local function ordered(t)
  local list, is_key = {}, {}
  for _, name in ipairs(t.primary and t.primary.columns or {}) do
    list[#list + 1], is_key[name] = fit.column_of(t, name), true
  end
  for _, column in ipairs(t.columns) do
    if not is_key[column.name] then list[#list + 1] = column end
  end
  return list
end

-- Scalars take their names before relations do: they are what the database calls something.
local function add_own(run, entity)
  local relations = run.relations[entity.table]
  local first, inside = by_column(relations)
  local made = {}
  for _, column in ipairs(ordered(entity.table)) do
    local name = words.property(column.name)
    if not inside[column.name] then
      local other = entity.taken[name]
      made[column] = add(entity, { kind = "scalar", column = column }, { name })
      if other then
        note(run, "table '%s': column '%s' is property '%s', because column '%s' has '%s'", model.path(entity.table),
          column.name, made[column].name, other.column.name, name)
      end
    end
  end
  for _, column in ipairs(ordered(entity.table)) do
    local relation = first[column.name]
    if relation then
      relation.property = add(entity, {
        kind = relation.unique and "one_to_one" or "many_to_one", relation = relation,
        target = run.by_table[relation.target],
      }, relation_names(run, relation))
    end
    entity.properties[#entity.properties + 1] = made[column] or relation and relation.property
  end
end

local function is_unique(relation)
  for _, unique in ipairs(relation.table.uniques) do
    if model.same_names(unique.columns, relation.fk.columns) then return true end
  end
  if relation.primary and model.same_names(relation.table.primary.columns, relation.fk.columns) then return true end
  for _, index in ipairs(relation.table.indexes) do
    if index.unique and not index.where and not index.method
      and model.same_names(model.columns_of(index), relation.fk.columns) then
      return true
    end
  end
  return false
end

-- The other side: "books" of an author, "children" of a parent, "original_language_films" where there are "films".
local function inverse_names(relation, count)
  local property = relation.property
  local own = words.of_entity(property.entity.name)
  local name = property.kind == "one_to_one" and own or words.plural(own)
  if relation.table == relation.target and property.name == "parent" then return { "children", name } end
  if count == 1 or property.name == words.of_entity(property.target.name) then
    return { name, name .. "_by_" .. property.name }
  end
  return { property.name .. "_" .. name, name .. "_by_" .. property.name }
end

local function add_inverse(run, entity)
  local counts = {}
  for _, relation in ipairs(run.relations[entity.table]) do
    counts[relation.target] = (counts[relation.target] or 0) + 1
  end
  for _, relation in ipairs(run.relations[entity.table]) do
    local target, property = run.by_table[relation.target], relation.property
    local kind = property.kind == "one_to_one" and "one_to_one" or "one_to_many"
    local made = add(target, { kind = kind, inverse = property, target = entity },
      inverse_names(relation, counts[relation.target]))
    target.properties[#target.properties + 1] = made
  end
end

local function add_pairs(run, pivot)
  local owner, target = run.by_table[pivot.first.target], run.by_table[pivot.second.target]
  local name = words.plural(words.of_entity(target.name))
  local back = words.plural(words.of_entity(owner.name))
  if owner == target then
    name = words.plural(words.property(pivot.table.name))
    back = words.plural(words.of_entity(owner.name)) .. "_by_" .. (words.relation(pivot.second.fk.columns[1], "id"))
  end
  local table_name = words.property(pivot.table.name)
  local made = add(owner, { kind = "many_to_many", pivot = pivot, target = target },
    { name, table_name, name .. "_by_" .. table_name })
  owner.properties[#owner.properties + 1] = made
  target.properties[#target.properties + 1] = add(target, { kind = "many_to_many", inverse = made, target = owner },
    { back, back .. "_by_" .. table_name })
end

---Entities for some tables. Tables without a primary key become none: no row of theirs could be told from another.
---@param tables table[] of a schema model
---@param driver "postgres"|"sqlite"
---@return table[] entities
---@return string[] notes what a person should know
function plan.entities(tables, driver)
  local run = { driver = driver, names = {}, entities = {}, by_table = {}, notes = {} }
  local kept, pivots, referred = {}, {}, {}
  for _, t in ipairs(tables) do
    if t.primary then
      kept[#kept + 1] = t
    else
      note(run, "table '%s' has no primary key and becomes no entity; a diff that may drop would drop it",
        model.path(t))
    end
  end
  run.relations, run.left = fit.relations(kept, driver)
  for _, t in ipairs(kept) do
    for _, relation in ipairs(run.relations[t]) do
      relation.unique = is_unique(relation)
      referred[relation.target] = true
    end
    for _, other in ipairs(run.left[t]) do
      if other.target then referred[other.target] = true end
    end
  end
  for _, t in ipairs(kept) do
    local pivot = fit.pivot(t, run.relations[t], referred)
    if pivot then pivots[#pivots + 1] = pivot else add_entity(run, t) end
  end
  for _, entity in ipairs(run.entities) do add_own(run, entity) end
  for _, entity in ipairs(run.entities) do add_inverse(run, entity) end
  for _, pivot in ipairs(pivots) do add_pairs(run, pivot) end
  return run.entities, run.notes
end

return plan
