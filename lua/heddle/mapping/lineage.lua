--- Which definitions of a context have rows: those that others extend by name are found, abstract ones left out unless
--- they share a table with what extends them.
local class = require("heddle.class")
local later = require("heddle.later")
local definition = later.module("heddle.definition")
local errors = require("heddle.errors")
local inherit = later.module("heddle.inherit")
local suggest = later.module("heddle.suggest")

local lineage = {}

local function fail_about(context, made, message)
  context.fail({ name = made.name, context = context.name, meta = made }, nil, message)
end

-- Names ----------------------------------------------------------------------------------------------------

local function base_by_name(context, known, made)
  local found = known[made.extends]
  if not found then
    fail_about(context, made, ("option 'extends': %s is not registered in context '%s'%s; add it to 'entities', or "
      .. "give the entity itself"):format(errors.quote(made.extends), context.name, suggest.hint(made.extends, known)))
  end
  return class.definition_of(found)
end

-- What extends another one by name gets its base from the first context that has that name.
local function link(context, known, made, under_way)
  if made.extends == nil then return end
  if under_way[made] then fail_about(context, made, "option 'extends': it extends itself") end
  under_way[made] = true
  local base = class.definition_of(made.extends)
  if type(made.extends) == "string" then
    if not made.base or known[made.extends] then base = base_by_name(context, known, made) end
    if made.base and base and base ~= made.base then
      fail_about(context, made, ("extends '%s' by name, and another context has found that to be the one from %s; "
        .. "give the entity itself"):format(made.extends, made.base.source))
    end
  end
  if not inherit.is_linked(made) then
    link(context, known, base, under_way)
    definition.complete(made, base)
  end
  under_way[made] = nil
end

-- Lists ----------------------------------------------------------------------------------------------------

-- An entity's bases that share its table have to be there; abstract ones join by themselves.
local function add_with_bases(context, known, list, seen, made)
  if seen[made] then return end
  local base = made.base
  if base and base.root then
    local registered = known[base.name]
    if registered and registered ~= base.class then
      fail_about(context, made, ("extends the '%s' from %s, and context '%s' has another entity of that name"):format(
        base.name, base.source, context.name))
    elseif not registered and not base.abstract then
      fail_about(context, made, ("extends '%s', which is not registered in context '%s'; add it to 'entities', or "
        .. "call orm.register"):format(base.name, context.name))
    end
    add_with_bases(context, known, list, seen, base)
  end
  if not seen[made] then
    seen[made] = true
    list[#list + 1] = made
  end
end

local function check_abstract(context, list, made)
  for _, other in ipairs(list) do
    if other ~= made and inherit.is_a(other, made) then return end
  end
  fail_about(context, made, ("it is abstract, and nothing in context '%s' extends it; register the entities that do")
    :format(context.name))
end

---The definitions of a context with a table, the root of a family before what extends it; `context.abstract` gets those
---that are only inherited from.
---@param context table as mapping.build makes it
---@param known table<string, table> the classes by name
---@param classes table[]
---@return table[] definitions
function lineage.list(context, known, classes)
  local list, seen, all = {}, {}, {}
  for i, item in ipairs(classes) do
    all[i] = class.definition_of(item)
    link(context, known, all[i], {})
  end
  for _, made in ipairs(all) do
    if made.abstract then check_abstract(context, all, made) end
    if made.abstract and not made.root then
      context.abstract[made.class], context.abstract[made.name] = made, made
    else
      add_with_bases(context, known, list, seen, made)
    end
  end
  return list
end

return lineage
