--- The tables that `orm.entity` gives: empty, but for what their author puts on them. What Heddle knows of
--- an entity hangs on its metatable, so that it lives exactly as long as the entity does.
local errors = require("heddle.errors")

local class = {}

-- The metatable is shown as this to the program, and cannot be replaced by it: `extends` gives inheritance.
local GUARD = "heddle.class"

---The definition behind an entity or embeddable, nil for anything else.
---@param value any
---@return table|nil
function class.definition_of(value)
  if type(value) ~= "table" then return nil end
  local meta = debug.getmetatable(value)
  return meta and meta.__metatable == GUARD and meta.definition or nil
end

---@param definition table
---@param label string "Entity", "Embeddable"
---@param construct fun(class: table, data: table|nil): table called by `User { ... }`
---@return table
function class.new(definition, label, construct)
  local made = {}
  definition.class = made
  local base = definition.extends and class.definition_of(definition.extends)
  return setmetatable(made, {
    __metatable = GUARD,
    definition = definition,
    __index = base and base.class or nil,
    __call = construct,
    __tostring = function() return label .. "<" .. definition.name .. ">" end,
    __newindex = function(self, key, value)
      if definition.by_name[key] then
        errors.raise("metadata", ("%s '%s': %s %s hides the property of that name; call it something else"):format(
          label, definition.name, type(value) == "function" and "method" or "field", errors.quote(key)),
          { entity = definition.name, property = key })
      end
      rawset(self, key, value)
    end,
  })
end

return class
