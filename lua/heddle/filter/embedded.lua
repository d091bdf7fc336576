--- Filters over embedded values: conditions on members, `orm.null`, a value of the embeddable (all of its members).
local class_of = require("heddle.class")
local codec = require("heddle.embedded.codec")
local embedded = require("heddle.embedded")
local mapped = require("heddle.mapping.embedded")
local null = require("heddle.null")
local op = require("heddle.op")
local place = require("heddle.filter.place")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")

local embedded_filter = {}

local emit, push, refuse = shape.emit, shape.push, place.refuse

-- The place of a member, which any name may stand for.
local function member_place(at, name)
  local child = type(name) == "string" and at.children[name]
  if not child then
    local node = at.embedded
    local member = type(name) == "string" and node.by_name[name]
    if not member then resolve.member(at.mapping, { embedded = node }, name, at.where) end
    child = place.of_node(at.mapping, member, at.where)
    at.children[name] = child
  end
  return child
end

local function read_members(to, at, where, read)
  local names = {}
  for name in pairs(where) do
    member_place(at, name)
    names[#names + 1] = name
  end
  table.sort(names)
  if #names == 0 then
    return refuse(at, "an empty table inside a filter would hold for every row: is a variable in it nil?")
  end
  if #names > 1 then emit(to, "all", #names) end
  for _, name in ipairs(names) do read(to, member_place(at, name), where[name]) end
end

-- A value of the embeddable is equal when every member is.
local function read_value(to, at, value, read)
  local members = {}
  for _, member in ipairs(at.embedded.members) do
    if member.prop.persist ~= false then members[#members + 1] = member end
  end
  emit(to, "all", #members)
  for _, member in ipairs(members) do
    local item = rawget(value, member.name)
    if item == nil then item = null end
    read(to, member_place(at, member.name), item)
  end
end

local function read_table(to, at, value, read)
  local meta = getmetatable(value)
  if meta == nil then return read_members(to, at, value, read) end
  if meta == embedded.meta(embedded.of(at.embedded.prop)) then return read_value(to, at, value, read) end
  return refuse(at, "takes conditions on its members, or " .. class_of.definition_of(at.embedded.prop.target).name
    .. " { ... }, not another object")
end

-- Lists --------------------------------------------------------------------------------------------------------

local function item_place(at)
  if not at.item then
    at.item = place.of_node(at.mapping, mapped.item(at.mapping, at.embedded), at.where)
    at.item.is_item = true
  end
  return at.item
end

-- A list is equal as a document.
local function read_list(to, at, value)
  if type(value) ~= "table" or op.is_operator(value) or value[1] == nil and next(value) ~= nil then
    return refuse(at, ("this is a list of values: say of which items you speak, as in %s = op.some { ... }, or compare "
      .. "it with a list"):format(at.name))
  end
  at.codec = at.codec or codec.of(at.embedded.prop)
  emit(to, "eq", at.name)
  return push(to, at.codec.to_db(value, { entity = at.mapping.name, property = at.name }))
end

local quantifiers = { some = true, none = true, every = true }

local function quantify(to, at, operator, read)
  emit(to, "items", operator.kind, at.name)
  local condition = operator.value
  local any = type(condition) == "table" and getmetatable(condition) == nil and next(condition) == nil
  if any and operator.kind ~= "every" then return emit(to, "all", 0) end
  return read(to, item_place(at), condition)
end

local words = {}
local nullness = { is_null = true, not_null = true }

local function each(word)
  return function(to, at, operator, read)
    local conditions = operator.value
    emit(to, word, #conditions)
    for i = 1, #conditions do read(to, at, conditions[i]) end
  end
end

words.all, words.any = each("all"), each("any")

function words.negate(to, at, operator, read)
  return shape.negated(to, read, at, operator.value)
end

function words.is_null(to, at) return emit(to, "absent", at.name) end

function words.not_null(to, at) return emit(to, "present", at.name) end

function words.eq(to, at, operator, read) return read(to, at, operator.value) end

function words.ne(to, at, operator, read)
  if operator.value == null then return emit(to, "present", at.name) end
  return shape.negated(to, read, at, operator.value)
end

---@param to heddle.Shape
---@param at heddle.Place
---@param value any
---@param read fun(to: heddle.Shape, at: heddle.Place, value: any) reads what a member is compared with
function embedded_filter.read(to, at, value, read)
  local is_list = not at.embedded.by_name
  if is_list and op.is_operator(value) and quantifiers[value.kind] then return quantify(to, at, value, read) end
  if at.is_item and (value == null or op.is_operator(value) and nullness[value.kind]) then
    return refuse(at, "an item of a list is never NULL")
  end
  if value == null then return emit(to, "absent", at.name) end
  if op.is_operator(value) then
    local word = words[value.kind]
    if not word then
      return refuse(at, tostring(value) .. " does not compare " .. (is_list and "lists of embedded values: use "
        .. "op.some, op.none or op.every" or "embedded values: name a member"))
    end
    return word(to, at, value, read)
  end
  if is_list then return read_list(to, at, value) end
  if type(value) ~= "table" then
    return refuse(at, "takes conditions on its members, not a " .. type(value))
  end
  return read_table(to, at, value, read)
end

return embedded_filter
