--- Entities that share a table: a *family*.
---
--- The table has a mapping of its own, which stands in the context's list, knows every column and has the shelves; no
--- program names it. Each entity of the family, the root too, is a *member*: a mapping that shows its own properties
--- over those columns. A name stands for one column in the whole family, whoever declares it. The table's mapping has
---
--- - `members`, the root's first; `by_value`, members by discriminator value; `discriminator`, the column
--- - `list` and `props`, the properties of all; `more`, the views of redefinitions, and of siblings' properties of one
---   name, beside the first in `list`
---
--- and a member
---
--- - `root`, the table's mapping (of an entity without a family: itself); `parent`; `place` among the members
--- - `values`, the discriminator values that stand for it and for those that extend it
--- - `owned`, the columns behind its properties; `required`, set of the indexes of those that it must have though the
---   table takes NULL
local later = require("heddle.later")
local inherit = later.module("heddle.inherit")
local relation = require("heddle.relation")

local family = {}

-- Members --------------------------------------------------------------------------------------------------

local function has_columns(prop)
  if prop.kind == "many_to_many" then return false end
  return prop.mapped_by == nil
end

-- One column for both: then they have to agree.
local function check_sibling(context, member, prop, first)
  local other = first.declared
  local fact = inherit.difference(first.prop, prop)
  if fact then
    context.fail(member, prop.name, ("'%s.%s' is another property of this name in the same table, with another '%s'; "
      .. "give this one another name"):format(other.name, prop.name, fact))
  end
end

local function add_view(context, root, member, view)
  local prop = view.prop
  local first, redefined = root.props[prop.name], member.parent and member.parent.props[prop.name]
  view.declared = member
  if not first then
    -- Rows of other entities have nothing there.
    view.partial = member.place > 1 or nil
    root.list[#root.list + 1], root.props[prop.name] = view, view
    return
  end
  if redefined or has_columns(prop) then
    if not redefined then check_sibling(context, member, prop, first) end
    view.like = first
  end
  root.more[#root.more + 1] = view
end

local shared = { "columns", "column_of", "foreign_keys", "uniques", "indexes", "checks", "embedded", "nodes" }

---Makes the mapping of a family's entity.
---@param context table as mapping.build makes it
---@param root table the table's mapping
---@param made table definition
---@param new_view fun(prop: table): table
---@return table member
function family.add(context, root, made, new_view)
  local member = {
    meta = made, name = made.name, class = made.class, context = root.context, driver = root.driver, id = root.id,
    table = root.table, schema = root.schema, root = root, place = #root.members + 1, props = {}, list = {}, plans = {},
    parent = made.base and context.by_class[made.base.class], values = {}, label = "heddle." .. made.name,
  }
  for _, field in ipairs(shared) do member[field] = root[field] end
  for position, prop in ipairs(made.properties) do
    local view = prop.inherited and member.parent and member.parent.props[prop.name]
    if not view then
      view = new_view(prop)
      add_view(context, root, member, view)
    end
    member.list[position], member.props[prop.name] = view, view
  end
  root.members[member.place] = member
  return member
end

local function note_value(context, root, member)
  local value = member.meta.discriminator_value
  if value == nil then return end
  local other = root.by_value[value]
  if other then
    context.fail(member, nil, ("option 'discriminator_value': '%s' stands for '%s' already"):format(tostring(value),
      other.name))
  end
  root.by_value[value] = member
  while member do
    member.values[#member.values + 1] = value
    member = member.parent
  end
end

-- Columns --------------------------------------------------------------------------------------------------

local function check_target(context, view)
  if view.target and view.like.target and view.target.root ~= view.like.target.root then
    context.fail(view.declared, view.name, ("leads to '%s', and '%s.%s', in the same column, to '%s'; give this one "
      .. "another name"):format(view.target.name, view.like.declared.name, view.name, relation.target_name(
      view.like.prop)))
  end
end

-- What `like` has of the table, its columns above all.
local function take_columns(view)
  for field, value in pairs(view.like) do
    if view[field] == nil then view[field] = value end
  end
end

local function is_required(view, column)
  if column.generated then return false end
  if view.like then return not view.prop.nullable end
  return view.partial and column.was_required
end

local function settle_columns(root, member)
  member.owned, member.required = {}, {}
  for _, column in ipairs(root.columns) do
    local view = member.props[column.within.name]
    if view then
      member.owned[#member.owned + 1] = column
      if column.nullable and is_required(view, column) then member.required[column.index] = true end
    end
  end
end

---Makes nullable what not every row of the table has.
---@param view table
---@param made table[] its columns
function family.soften(view, made)
  for _, column in ipairs(made) do
    column.within = view
    if view.partial then
      column.partial, column.was_required, column.nullable = true, not column.nullable, true
    end
  end
end

---Columns and keys of the members, now that the table's are there.
---@param context table
function family.finish(context)
  for _, root in ipairs(context.list) do
    for _, view in ipairs(root.more or {}) do
      if view.like then
        check_target(context, view)
        take_columns(view)
      end
    end
    if root.members then
      root.discriminator = root.props[root.meta.discriminator].column
      root.discriminator.discriminator = true
    end
    for _, member in ipairs(root.members or {}) do
      member.version, member.auto_key, member.discriminator = root.version, root.auto_key, root.discriminator
      note_value(context, root, member)
      settle_columns(root, member)
    end
  end
end

---What views take over from those that they are like, once relations have both sides.
---@param context table
function family.settle(context)
  for _, root in ipairs(context.list) do
    for _, view in ipairs(root.more or {}) do
      if view.like then take_columns(view) end
    end
  end
end

-- For those who build on it --------------------------------------------------------------------------------

---Every view of a mapping in a context's list, each with the mapping that declares it.
---@param map table
---@return fun(): table|nil, table|nil iterator
function family.views(map)
  local list, more, position = map.list, map.more or {}, 0
  return function()
    position = position + 1
    local view = list[position] or more[position - #list]
    if view then return view, view.declared or map end
  end
end

---What a member adds to a list of its definition: "uniques", "indexes", "checks".
---@param member table
---@param option string
---@return table[]
function family.own_items(member, option)
  local inherited = member.parent and #member.parent.meta[option] or 0
  local own = {}
  for position = inherited + 1, #member.meta[option] do own[#own + 1] = member.meta[option][position] end
  return own
end

return family
