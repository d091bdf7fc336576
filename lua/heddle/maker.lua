--- Makers: how the instances of an entity begin, found out once. A maker knows which values of the data are raw as they
--- are given, and which defaults they have; these the core copies. The rest is construct's.
local core = require("heddle.core")
local discriminator = require("heddle.discriminator")
local inherit = require("heddle.inherit")
local instance = require("heddle.instance")

local maker = {}

local kind_of = instance.kind_of
local MOST_DEFAULTS = 64 -- of those that the core gives

-- What instances hold raw as the data has it: names in order and as a set, those of the key as a set, constants by the
-- place of their name, and how many fields there may be at all.
local function raw_of(definition)
  local raw = { list = {}, names = {}, key = {}, constants = {}, fields = 0 }
  for _, prop in ipairs(definition.properties) do
    if kind_of(prop) == "raw" then
      raw.fields = raw.fields + 1
      if prop.kind ~= "embedded" and not prop.generated then
        local place = #raw.list + 1
        raw.list[place], raw.names[prop.name] = prop.name, place
        raw.key[prop.name] = prop.primary and true or nil
        if place <= MOST_DEFAULTS and type(prop.default) ~= "table" then raw.constants[place] = prop.default end
      end
    end
  end
  return raw
end

-- Properties whose default each instance gets by itself.
local function late_of(definition, raw)
  local late = {}
  for _, prop in ipairs(definition.properties) do
    local place = raw.names[prop.name]
    if prop.default ~= nil and not (place and raw.constants[place] ~= nil) then late[#late + 1] = prop end
  end
  return late
end

-- What the core makes, with what it cannot give.
local function completing(make, definition, late, context_name)
  return function(data)
    local e, what = make(data)
    if not e then return e, what end
    for i = 1, #late do
      local prop = late[i]
      if data[prop.name] == nil then e[prop.name] = instance.copy(prop.default) end
    end
    discriminator.give(e, definition, context_name)
    return e, what
  end
end

---@class heddle.Maker
---@field make fun(data: table): table|nil, string|nil as core.maker gives it
---@field definition table
---@field raw table<string, integer> names whose values are raw as they are given
---@field is_quiet boolean the entity wants not to be told of a new instance

---Raises `metadata` for an entity that has no instances of its own.
---@param definition table
---@param meta table the metatable of its new instances
---@param context_name? string
---@return heddle.Maker
function maker.new(definition, meta, context_name)
  inherit.check_concrete(definition, context_name)
  local raw = raw_of(definition)
  local late, kind = late_of(definition, raw), definition.discriminator
  local make = core.maker(meta, raw.list, raw.key, raw.constants, raw.fields)
  if late[1] or kind and not definition.by_name[kind].hidden then
    make = completing(make, definition, late, context_name)
  end
  return { definition = definition, raw = raw.names, make = make, is_quiet = definition.hooks.on_init == nil }
end

return maker
