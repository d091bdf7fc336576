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

-- A method hides the property of its name, in whoever inherits it too.
local function check_hidden(definition, label, key, value)
  if definition.by_name[key] then
    errors.raise("metadata", ("%s '%s': %s %s hides the property of that name; call it something else"):format(
      label, definition.name, type(value) == "function" and "method" or "field", errors.quote(key)),
      { entity = definition.name, property = key })
  end
  for child in pairs(definition.children or {}) do check_hidden(child, label, key, value) end
end

---@param definition table
---@param label string "Entity", "Embeddable"
---@param construct fun(class: table, data: table|nil): table called by `User { ... }`
---@return table
function class.new(definition, label, construct)
  local made = {}
  definition.class = made
  setmetatable(made, {
    __metatable = GUARD,
    definition = definition,
    __call = construct,
    __tostring = function() return label .. "<" .. definition.name .. ">" end,
    __newindex = function(self, key, value)
      check_hidden(definition, label, key, value)
      rawset(self, key, value)
    end,
  })
  if definition.base then class.link(definition, definition.base) end
  return made
end

---The class answers with what its base has: methods, and their bases' in turn.
---@param definition table
---@param base table definition
function class.link(definition, base)
  if not definition.class then return end -- class.new will
  base.children = base.children or setmetatable({}, { __mode = "k" })
  base.children[definition] = true
  debug.getmetatable(definition.class).__index = base.class
end

return class
