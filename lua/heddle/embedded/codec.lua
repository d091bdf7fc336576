--- Embedded values in a json column: between the program's tables and the documents that are stored.
---
--- A document holds each member in its stored form (see member.c) and no NULLs, so that two values which are one to the
--- database are one document. For its column a codec is what a custom type is. It is strict when something is written
--- and *loose* when values are compared: what was read is never refused, however old the program was that wrote it.
local array = require("heddle.array")
local core = require("heddle.core")
local custom = require("heddle.custom")
local embedded = require("heddle.embedded")
local normal_form = require("heddle.normal_form")
local null = require("heddle.null")

local codec = {}

-- Of values that stood for their snapshot when they were last looked at: it, and what they held.
local HASH = 16 -- bytes of an image that tell it from others
local image_of, form_of = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })

local described = {
  "type", "length", "precision", "scale", "enum", "as", "array_of", "cast",
}

-- The members of an embeddable with what converts them, once for each.
local function members_of(embeddable)
  local members = embeddable.members
  if not members then
    members = {}
    for _, prop in ipairs(embeddable.properties) do
      if prop.persist ~= false then
        local member = { name = prop.name, key = prop.column or prop.name, prop = prop }
        if prop.kind ~= "embedded" then
          local column = { custom = prop.custom, converts = custom.converts(prop.custom) }
          for _, field in ipairs(described) do column[field] = prop[field] end
          member.column, member.form = column, core.member(column)
        end
        members[#members + 1] = member
      end
    end
    embeddable.members = members
  end
  return members
end

-- Storing -------------------------------------------------------------------------------------------------------

local encode

local function encode_strictly(member, value, at)
  local column = { custom = member.column.custom, converts = member.column.converts, entity = at.entity,
    property = at.path .. "." .. member.name }
  local stored, why = member.form:stored(custom.to_db(column, value))
  if stored == nil and why then embedded.refuse("validation", at, member.name, why) end
  return stored
end

-- What cannot be stored stands for itself, and differs from whatever was.
local function encode_loosely(member, value, about)
  local stored, normal = member.form:stored(custom.to_db(member.column, value))
  if stored == nil then return value end
  if member.column.converts then
    local fresh = custom.from_db(member.column, (member.form:value(stored)))
    normal = normal_form.are_one(member.column.custom, value, fresh) ~= false
  end
  if not normal then about.is_normal = false end
  return stored
end

local function encode_member(member, value, at, about)
  if member.prop.kind == "embedded" then
    return encode(member.prop, value, at and embedded.below(at, member.name), about)
  end
  if at then return encode_strictly(member, value, at) end
  return encode_loosely(member, value, about)
end

local function encode_one(embeddable, value, at, about)
  if at then embedded.check_table(embeddable, value, at) end
  if type(value) ~= "table" then return value end
  local made = {}
  for name in pairs(at and value or {}) do embedded.check_name(embeddable, name, at) end
  for _, member in ipairs(members_of(embeddable)) do
    local item = rawget(value, member.name)
    if item == null then about.is_normal, item = false, nil end
    if item ~= nil then
      made[member.key] = encode_member(member, item, at, about)
    elseif at and not member.prop.nullable then
      embedded.refuse("validation", at, member.name, "is required and has no value")
    end
  end
  return made
end

-- With a place strictly, without one loosely; `about` is told whether the value is in normal form.
function encode(prop, value, at, about)
  local embeddable = embedded.of(prop)
  if not prop.array then return encode_one(embeddable, value, at, about) end
  if at then embedded.check_list(value, at) end
  if type(value) ~= "table" then return value end
  local list = array.new()
  for i, item in ipairs(value) do
    list[i] = encode_one(embeddable, item, at and embedded.below(at, tostring(i)), about)
  end
  return list
end

-- Reading -------------------------------------------------------------------------------------------------------

local decode

local function decode_member(member, item, about)
  if member.prop.kind == "embedded" then return decode(member.prop, item, about) end
  local value, same = member.form:value(item)
  -- What a custom type makes of it only the type itself can say.
  if not same or member.column.converts then about.is_normal = false end
  return custom.from_db(member.column, value)
end

local function decode_one(embeddable, document, about)
  if type(document) ~= "table" then return document end
  local value, count = {}, 0
  for _, member in ipairs(members_of(embeddable)) do
    local item = document[member.key]
    if item ~= nil then count = count + 1 end
    if item == null then about.is_normal, item = false, nil end
    if item ~= nil then value[member.name] = decode_member(member, item, about) end
  end
  for _ in next, document do count = count - 1 end
  if count ~= 0 then about.is_normal = false end
  return setmetatable(value, embedded.meta(embeddable))
end

-- `about` is told whether the document is as this program would have written it.
function decode(prop, document, about)
  local embeddable = embedded.of(prop)
  if not prop.array then return decode_one(embeddable, document, about) end
  if type(document) ~= "table" then return document end
  if not array.is_array(document) then about.is_normal = false end
  local list = array.new()
  for i, item in ipairs(document) do list[i] = decode_one(embeddable, item, about) end
  return list
end

-- Columns -------------------------------------------------------------------------------------------------------

---What a json column of embedded values has for its `custom`.
---@param prop table
---@return table { to_db, from_db, loose, same, is_other }
function codec.of(prop)
  local made = { embedded = true }

  function made.to_db(value, column)
    return encode(prop, value, { entity = column.entity, path = column.property }, {})
  end

  function made.from_db(document) return decode(prop, document, {}) end

  ---A document as this program would have written it: the same table when it did; and its value.
  function made.loose(document)
    local about = {}
    local value = decode(prop, document, about)
    if about.is_normal ~= false then return document, value end
    local ok, stored = pcall(encode, prop, value, nil, {})
    return ok and stored or document, value
  end

  ---Whether a value is the one that an image stands for.
  function made.same(value, image)
    local ok, stored = pcall(encode, prop, value, nil, {})
    return ok and core.same_image(stored, image)
  end

  ---Whether it is another one, or in another form than a read would give. A table that was found to be the same, and
  ---has not changed since, is not converted again.
  function made.is_other(value, image)
    if image_of[value] == image and core.same_image(value, form_of[value]) then return false end
    local about = {}
    local ok, stored = pcall(encode, prop, value, nil, about)
    if not ok or about.is_normal == false or not core.same_image(stored, image) then return true end
    if type(value) == "table" then image_of[value], form_of[value] = image, core.image(value):sub(1, HASH) end
    return false
  end

  return made
end

---The stored form of one member, for filters and data.
---@param column table of a member in a json object
---@param value any the database's value
---@return any stored nil and why for what the type does not take
function codec.stored(column, value)
  column.form = column.form or core.member(column)
  return column.form:stored(value)
end

return codec
