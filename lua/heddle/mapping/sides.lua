--- The two sides of each relation: `mapped_by` and `inversed_by` checked against the other entity, orders checked.
local errors = require("heddle.errors")
local family = require("heddle.mapping.family")
local later = require("heddle.later")
local suggest = later.module("heddle.suggest")

local sides = {}

-- Which kind of owner each kind of inverse side has.
local owner_of = { one_to_many = "many_to_one", one_to_one = "one_to_one", many_to_many = "many_to_many" }

-- The property of the target that an option names: a relation of that kind which leads back here.
local function counterpart(context, map, view, option, kinds)
  local name, target = view.prop[option], view.target
  local other = target.props[name]
  if not other then
    context.fail(map, view.name, ("option '%s': entity '%s' has no property %s%s"):format(option, target.name,
      errors.quote(name), suggest.hint(name, target.props)))
  end
  if not kinds[other.kind] or other.target ~= map then
    context.fail(map, view.name, ("option '%s': '%s.%s' is no %s of '%s'"):format(option, target.name, name,
      table.concat(kinds, " or "), map.name))
  end
  return other
end

local function link_inverse(context, map, view)
  local kind = owner_of[view.kind]
  local owner = counterpart(context, map, view, "mapped_by", { kind, [kind] = true })
  if not owner.prop.owner then
    context.fail(map, view.name, ("option 'mapped_by': '%s.%s' is an inverse side itself; one of the two has to "
      .. "own the relation"):format(view.target.name, owner.name))
  end
  if owner.inverse then
    context.fail(map, view.name, ("'%s.%s' is mapped by property '%s' already"):format(view.target.name, owner.name,
      owner.inverse.name))
  end
  if owner.prop.inversed_by and owner.prop.inversed_by ~= view.name then
    context.fail(map, view.name, ("'%s.%s' names another inverse side, '%s'"):format(view.target.name, owner.name,
      owner.prop.inversed_by))
  end
  view.inverse, owner.inverse = owner, view
end

local function check_inversed(context, map, view)
  local kinds = { "one_to_many", one_to_many = true }
  if view.kind ~= "many_to_one" then kinds = { view.kind, [view.kind] = true } end
  local other = counterpart(context, map, view, "inversed_by", kinds)
  if other.prop.mapped_by ~= view.name then
    context.fail(map, view.name, ("option 'inversed_by': '%s.%s' does not say mapped_by = \"%s\""):format(
      view.target.name, other.name, view.name))
  end
end

local directions = {}
for _, direction in ipairs({ "", "asc", "desc" }) do
  for _, nulls in ipairs({ "", "nulls first", "nulls last" }) do
    directions[(direction .. " " .. nulls):match("^%s*(.-)%s*$")] = true
  end
end

local function check_path(context, map, view, path)
  local target = view.target
  for name, rest in (path .. "."):gmatch("([^.]*)%.()") do
    local found = target and target.props[name]
    if not found then
      context.fail(map, view.name, ("option 'order_by': %s%s"):format(
        target and ("entity '%s' has no property %s"):format(target.name, errors.quote(name))
        or ("nothing can follow in %s"):format(errors.quote(path:sub(1, rest - #name - 3))),
        target and suggest.hint(name, target.props) or ""))
    end
    if found.kind == "embedded" then return end
    target = (found.kind == "many_to_one" or found.kind == "one_to_one") and found.target or nil
  end
end

-- "name", "name desc", "author.name asc nulls first" or { name = "desc" }
local function check_order(context, map, view)
  for _, item in ipairs(view.prop.order_by or {}) do
    local path, rest
    if type(item) == "table" then
      path, rest = next(item)
      if next(item, path) ~= nil then
        context.fail(map, view.name, "option 'order_by': a table names one property; write a list of them")
      end
    else
      path, rest = item:match("^%s*(%S+)%s*(.-)%s*$")
    end
    rest = type(rest) == "string" and rest:lower():gsub("%s+", " ")
    if type(path) ~= "string" or not directions[rest] then
      context.fail(map, view.name, "option 'order_by': write \"name\", \"name desc\" or \"name desc nulls last\"")
    end
    check_path(context, map, view, path)
  end
end

---Sets `inverse` of both views of a relation.
---@param context table as mapping.build makes it
function sides.build(context)
  for _, map in ipairs(context.list) do
    for view, declared in family.views(map) do
      if view.kind ~= "scalar" and view.kind ~= "embedded" then
        if view.prop.mapped_by and not view.like then link_inverse(context, declared, view) end
        if view.prop.inversed_by then check_inversed(context, declared, view) end
        check_order(context, declared, view)
      end
    end
  end
end

return sides
