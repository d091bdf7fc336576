--- The short way of populate for one_to_many: all members, as they are stored, of several owners that are known by a
--- key of one number and of whose members nobody knows anything. The core puts the rows into lists by owner; these
--- become collections when somebody looks at them.
---
--- Keys without gaps are asked for as a range. Where members are in the order of their own keys, numbers too, the core
--- sees whether they come so: an index over the foreign key gives them by owner, the table in their order mostly.
local core = require("heddle.core")
local custom = require("heddle.custom")
local fetch = require("heddle.fetch")
local loads = require("heddle.loads")
local managed = require("heddle.populate.managed")
local members = require("heddle.relations.members")
local populate = require("heddle.populate")
local relations = require("heddle.relations")
local select = require("heddle.select")
local shape = require("heddle.shape")
local unopened = require("heddle.relations.unopened")

local FEW = 2 -- of one owner the usual way asks by equality

local whole_numbers = { smallint = true, integer = true, bigint = true }

local function is_number(column)
  local source = custom.source(column)
  return whole_numbers[source.type] ~= nil and not source.converts and not source.json
end

local function is_simple(map)
  return map.root == map and map.members == nil and #map.key == 1 and map.expression == nil and is_number(map.key[1])
end

-- Where in a row the owner's key stands.
local function position(plan, column)
  for i, each in ipairs(plan.columns) do
    if each == column then return i end
  end
end

local function make_plan(view, how, order)
  local to = shape.new("children")
  if how == "range" then
    shape.emit(to, "between", view.inverse.name)
  else
    shape.emit(to, "in", view.inverse.name, how)
    shape.emit(to, "-")
  end
  local opts = { order_by = order }
  local extra = { opts = opts, terms = select.read_options(to, view.target, opts) }
  return shape.plan(to, view.target, select.build_find, extra)
end

-- How the members of a relation are read; false: not so.
local function way_of(map, view)
  local columns, target = view.inverse and view.inverse.columns, view.target
  view.children = false
  if view.kind ~= "one_to_many" or not columns or columns[2] or not is_simple(map) or not is_simple(target) or
    columns[1].converts or populate.eager_views(target)[1] then return false end
  local sorts = view.prop.order_by == nil
  local order = not sorts and members.order(view) or nil
  local many = make_plan(view, target.driver == "postgres" and "bulk" or "json", order)
  if not many.partial then
    view.children = { sorts = sorts, range = make_plan(view, "range", order), many = many,
      column = position(many, columns[1]) }
  end
  return view.children
end

-- What is said about the members of a level: that all of them are meant, with everything that they usually have.
local function is_usual(level, view, em, opts)
  local own, part, named = populate.asked(level, view, em, opts)
  return not part and not own.fields and not own.exclude and not (named and named:condition(view.target))
end

-- Of those that were managed before nobody knows yet whether they are still their owners'.
local function fill_known(shelf, view, lists, slots)
  for _, slot in ipairs(slots) do
    local rows = lists[slot]
    lists[slot] = nil
    relations.collection(shelf.instances[slot], view.name):fill(rows)
  end
end

-- The plan, and its parameters.
local function asked(way, owners)
  local low, high = owners:range()
  if low then return way.range, { low, high } end
  return way.many, { owners:keys() }
end

---Reads the members of a relation of many owners. Nothing is done where this is not the way.
---@param em heddle.EntityManager
---@param view table the relation, of the owners
---@param list table[] owners, of one entity
---@param opts table|nil of the query
---@param level heddle.Level of the owners
---@return table[]|nil members those of one owner after the other, where something lies below them; else an empty list
local function load(em, view, list, opts, level)
  if #list < FEW or opts and opts.refresh then return nil end
  local map = level.map
  local shelf = em:shelf_of(map)
  local way = map.props[view.name] == view and shelf.mapping == map and view.children
  if way == nil then way = way_of(map, view) end
  if not way or not is_usual(level, view, em, opts) then return nil end
  local owners, lists = core.owners(shelf, list, unopened.of(shelf, view.name), way.column, way.sorts)
  if not owners then return nil end
  local plan, params = asked(way, owners)
  local theirs = fetch.rows(em, plan, params, opts, core.children, lists, owners)
  local all = level.below[view.name].views[1] and {} or nil
  local known = core.settle_children(owners, lists, theirs, all)
  if known then fill_known(shelf, view, lists, known) end
  unopened.keep(shelf, view.name, lists, list)
  loads.settle(em, theirs)
  if known and all then return nil end -- what shows is the collections' to say
  return all or {}
end

managed.children = load

return { load = load }
