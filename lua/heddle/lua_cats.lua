--- `heddle types`: LuaCATS classes of a project's entities and of Heddle's own calls, in one file that an editor reads
--- and no program runs.
local api = require("heddle.lua_cats.api")
local class_of = require("heddle.class")
local relation = require("heddle.relation")

local lua_cats = {}

local scalars = {
  smallint = "integer", integer = "integer", bigint = "integer", float = "number", double = "number",
  decimal = "string", string = "string", text = "string", uuid = "string", date = "string", time = "string",
  blob = "string", boolean = "boolean", timestamp = "number", json = "any", unknown = "any",
}

-- Class names are letters, digits, `_` and dots.
local function class_name(name)
  name = name:gsub("[^%w_.\128-\255]", "_")
  return name:find("^%d") and "_" .. name or name
end

local function one_line(text)
  return (text:gsub("%s+", " "))
end

local function labels(list)
  local made = {}
  for i, label in ipairs(list) do made[i] = '"' .. one_line(label):gsub('[\\"]', "\\%0") .. '"' end
  return table.concat(made, "|")
end

local function scalar_type(prop)
  if prop.cast and prop.cast:find("^timestamp[ (]") then return "number" end
  if prop.custom and (prop.custom.from_db or prop.type == "unknown") then return "any" end
  if prop.as then return "string" end
  if prop.type == "enum" then return labels(prop.enum) end
  if prop.type == "array" then return (scalars[prop.array_of] or "any") .. "[]" end
  return scalars[prop.type] or "any"
end

local function target_of(prop)
  return class_name(relation.target_name(prop))
end

local function is_many(prop)
  return prop.kind == "one_to_many" or prop.kind == "many_to_many"
end

local function embedded_type(prop)
  return class_name(class_of.definition_of(prop.target).name) .. (prop.array and "[]" or "")
end

-- What a property reads as.
local function read_type(prop)
  if prop.kind == "scalar" then return scalar_type(prop) end
  if prop.kind == "embedded" then return embedded_type(prop) end
  if is_many(prop) then return "heddle.Collection<" .. target_of(prop) .. ">" end
  return target_of(prop)
end

-- What `create` and `assign` take for it: a relation by instance, key or nested data.
local function data_type(prop)
  if prop.kind == "scalar" then
    local found = scalar_type(prop)
    if prop.type == "decimal" then return "string|number" end
    if prop.type == "timestamp" then return "number|string" end
    return found
  end
  if prop.kind == "embedded" then return embedded_type(prop) .. "|table" end
  if is_many(prop) then return ("(%s|table)[]"):format(target_of(prop)) end
  return target_of(prop) .. "|integer|string|table"
end

local function is_optional(prop)
  if is_many(prop) then return false end
  if prop.kind == "one_to_one" and not prop.owner then return true end
  return prop.nullable or prop.persist == false or false
end

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
  while private protected public package]]):gmatch("%a+") do keywords[word] = true end

-- Names that the grammar has no form for, or another meaning, stand in brackets.
local function field_name(name)
  return name:find("^[%a_][%w_]*$") and not keywords[name] and name or ('["%s"]'):format(name)
end

local function field(prop, optional, text)
  local comment = prop.comment and prop.comment ~= "" and " # " .. one_line(prop.comment) or ""
  local name = field_name(prop.name)
  if optional and name ~= prop.name then text = text .. "|nil" optional = false end
  return ("---@field %s%s %s%s"):format(name, optional and "?" or "", text, comment)
end

local function base_of(definition, known)
  local base = definition.extends and relation.target_name({ target = definition.extends })
  return base and known[base] or nil
end

local function add_class(lines, definition, known)
  local name, base = class_name(definition.name), base_of(definition, known)
  if definition.comment and definition.comment ~= "" then lines[#lines + 1] = "---" .. one_line(definition.comment) end
  lines[#lines + 1] = "---@class " .. name .. (base and ": " .. class_name(base.name) or "")
  for _, prop in ipairs(definition.properties) do
    if not (base and base.by_name[prop.name]) then
      lines[#lines + 1] = field(prop, is_optional(prop), read_type(prop))
    end
  end
  lines[#lines + 1] = ("---@overload fun(data?: %s.Data): %s"):format(name, name)
  lines[#lines + 1] = ""
  lines[#lines + 1] = "---@class " .. name .. ".Data" .. (base and ": " .. class_name(base.name) .. ".Data" or "")
  for _, prop in ipairs(definition.properties) do
    if not (base and base.by_name[prop.name]) then lines[#lines + 1] = field(prop, true, data_type(prop)) end
  end
  lines[#lines + 1] = ""
end

-- Definitions by name: entities, those that they extend, and the embeddables inside of them.
local function collect(found, definition)
  if not definition or found[definition.name] then return end
  found[definition.name] = definition
  collect(found, class_of.definition_of(definition.extends))
  for _, prop in ipairs(definition.properties) do
    if prop.kind == "embedded" then collect(found, class_of.definition_of(prop.target)) end
  end
end

local function sorted(found)
  local names = {}
  for name in pairs(found) do names[#names + 1] = name end
  table.sort(names)
  return names
end

---The text of the file for the entities of some contexts, the same each time. Of two entities with one name the first
---context's is described.
---
---Usage: `local text = lua_cats.text({ orm.instance(), orm.instance("secondary") })`
---@param contexts table[]
---@return string text
---@return string[] shadowed names that several contexts have different entities for
function lua_cats.text(contexts)
  local found, shadowed = {}, {}
  for _, context in ipairs(contexts) do
    for _, class in ipairs(context.classes) do
      local definition = class_of.definition_of(class)
      if found[definition.name] and found[definition.name] ~= definition then
        shadowed[#shadowed + 1] = definition.name
      end
      collect(found, definition)
    end
  end
  local lines = { api.head, "-- Entities", "" }
  for _, name in ipairs(sorted(found)) do add_class(lines, found[name], found) end
  lines[#lines + 1] = api.tail
  return table.concat(lines, "\n"), shadowed
end

return lua_cats
