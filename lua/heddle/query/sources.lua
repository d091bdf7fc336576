--- Where a query reads from: entities, relations of what is there already, sub-queries, names of WITH.
local check = require("heddle.query.given")
local conditions = require("heddle.query.conditions")
local derived = require("heddle.query.derived")
local errors = require("heddle.errors")
local level = require("heddle.query.level")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")
local suggest = require("heddle.suggest")

local sources = {}

local emit = shape.emit

local relation_kinds = { many_to_one = "one", one_to_one = "one", one_to_many = "many", many_to_many = "many" }

-- A name that the rows of a query have while it is being read.
local function of_cte(to, name, alias)
  local cte = level.cte(to.level, name)
  if not cte then return nil end
  if not cte.mapping then
    errors.raise("validation", ("'%s' of WITH is read before anything says what it gives: its first query may not name "
      .. "it, the ones behind union_all may"):format(name), { context = to.context })
  end
  if not cte.node then cte.recursive = true end
  emit(to, "cte", name, alias)
  return { alias = alias, mapping = cte.mapping, cte = cte, bottom = cte.bottom }
end

local function of_query(to, query, alias, read)
  emit(to, "query", alias)
  local node = read.sub(to, query, true)
  return { alias = alias, mapping = derived.mapping(alias, node), node = node, bottom = node.mapping }
end

local function of_entity(to, query, entity, alias)
  local map = query.em:mapping(entity)
  emit(to, "entity", map.name, alias)
  return { alias = alias, mapping = map, bottom = map }
end

---What `em:query(E, alias)` or `from` named.
function sources.root(to, query, read)
  local given = query.source
  if not given then
    return errors.raise("validation", "a query without a source: em:query(Entity, \"a\"), or :from(source, \"a\")",
      { context = query.em.context_name })
  end
  local alias = query.alias or "e0"
  if read.is_query(given) then return of_query(to, given, alias, read) end
  if not query.is_named then return of_entity(to, query, given, alias) end
  local source = of_cte(to, given, alias)
  if source then return source end
  if query.em.mappings.by_name[given] then return of_entity(to, query, given, alias) end
  return errors.raise("unknown_property", ("from: %s is neither a name of WITH nor an entity of context '%s'%s"):format(
    errors.quote(given), query.em.context_name, suggest.hint(given, query.em.mappings.by_name)),
    { context = query.em.context_name })
end

-- Joins ------------------------------------------------------------------------------------------------------------

local function of_relation(to, given)
  local parent, name = level.split(to.level, given.source, "join")
  local view = resolve.view(parent.mapping, name, "join")
  local kind = relation_kinds[view.kind]
  if not kind then
    return resolve.refuse("validation", parent.mapping, name, "join", "this property is no relation")
  end
  local alias = given.alias or check.alias(name, function(message)
    return resolve.refuse("validation", parent.mapping, name, "join", message)
  end)
  emit(to, "relation", parent.alias, name)
  emit(to, alias)
  return { alias = alias, mapping = view.target, parent = parent, view = view, is_many = kind == "many",
    bottom = view.target, pair = view.pivot and { alias = "-", mapping = view.pivot.mapping } }
end

local function check_alias(given, what)
  if given.alias then return given.alias end
  return errors.raise("validation", "join: " .. what .. " needs an alias: left_join(source, \"x\", condition)")
end

local function check_on(given, alias)
  for _, cond in ipairs(given.on) do
    if not conditions.is_empty(cond) then return end
  end
  return errors.raise("validation", ("join of '%s': what is no relation needs a condition, as in "
    .. "{ author = op.ref \"a.id\" }"):format(alias))
end

local function find(to, query, given, read)
  if read.is_query(given.source) then
    return of_query(to, given.source, check_alias(given, "a sub-query"), read)
  elseif type(given.source) == "string" then
    local cte = level.cte(to.level, given.source) and of_cte(to, given.source, check_alias(given, "a name of WITH"))
    if cte then return cte end
    local root = to.level.sources[1].mapping
    local is_entity = not root.props[given.source] and query.em.mappings.by_name[given.source]
    if not is_entity then return of_relation(to, given) end
  end
  return of_entity(to, query, given.source, check_alias(given, "an entity"))
end

---What a join named.
---@param to heddle.Shape
---@param query heddle.Query
---@param given { how: "left"|"inner", source: any, alias: string|nil, on: any[] }
---@return heddle.query.Source
function sources.join(to, query, given, read)
  emit(to, given.how)
  local source = find(to, query, given, read)
  source.how = given.how
  if not source.view then
    check_on(given, source.alias)
    source.is_many = true
  end
  source.is_outer = given.how == "left" or source.parent and source.parent.is_outer
  return source
end

-- Mappings that no context has ------------------------------------------------------------------------------------

---The mapping of a name of WITH.
function sources.named_mapping(name, node)
  return derived.mapping(name, node)
end

---The mapping of an item, for conditions on it.
function sources.item_mapping(item, map)
  return derived.mapping(map.name, { items = { item }, mapping = map })
end

return sources
