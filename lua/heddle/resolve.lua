---Names that a program or its user gave, looked up in a mapping. Every compiler asks here, so that an
---unknown name is refused with the same words wherever it stands.

local errors = require("heddle.errors")
local suggest = require("heddle.suggest")

local resolve = {}

---@param view table
---@return boolean
function resolve.is_hidden(view)
  return view.prop ~= nil and view.prop.hidden or view.column ~= nil and view.column.hidden or false
end

local function known_names(mapping, nested)
  local names = {}
  for _, view in ipairs(mapping.list) do
    if not (nested and resolve.is_hidden(view)) then names[#names + 1] = view.name end
  end
  return names
end

---The fields of an error about one property of a mapping.
---@param mapping table
---@param property string?
---@return table
function resolve.fields(mapping, property)
  return { context = mapping.context, entity = mapping.name, property = property }
end

---Raises an error that names the place: "filter of User.age: ...".
---@param kind string
---@param mapping table
---@param property string?
---@param where string what was being read: "filter", "order_by", "fields", "data"
---@param message string
function resolve.refuse(kind, mapping, property, where, message)
  local name = property and property ~= "" and mapping.name .. "." .. property or mapping.name
  return errors.raise(kind, where .. " of " .. name .. ": " .. message, resolve.fields(mapping, property))
end

---The view of a property, or `unknown_property`. A nested name (reached through a relation) may not be a
---hidden property: request data could probe it.
---@param mapping table
---@param name any
---@param where string
---@param nested boolean?
---@return table view
function resolve.view(mapping, name, where, nested)
  local view = type(name) == "string" and mapping.props[name]
  if view and not (nested and resolve.is_hidden(view)) then return view end
  if view then
    return resolve.refuse("unknown_property", mapping, name, where,
      "this property is hidden and cannot be reached through a relation")
  end
  local message
  if type(name) == "string" then
    message = errors.quote(name) .. " is not a property of " .. mapping.name
      .. suggest.hint(name, known_names(mapping, nested))
  else
    message = "names are strings, not a " .. type(name)
  end
  return errors.raise("unknown_property", where .. " of " .. mapping.name .. ": " .. message,
    resolve.fields(mapping, type(name) == "string" and name or nil))
end

---A member of an embedded property, by the path behind it ("city", "geo.lat"), or `unknown_property`.
---@param mapping table
---@param view table
---@param path any
---@param where string
---@return table node as heddle.mapping.embedded makes it
function resolve.member(mapping, view, path, where)
  local node, rest = view.embedded, type(path) == "string" and path or ""
  repeat
    local name
    name, rest = rest:match("^([^.]*)%.?(.*)$")
    local inner = node.by_name and node.by_name[name]
    if not inner then
      local of = node.by_name and "it" .. suggest.hint(name, node.by_name)
        or node.prop.kind == "embedded" and "it: it is a list of values" or "it: it is no embedded value"
      resolve.refuse("unknown_property", mapping, node.path, where, (type(path) == "string" and errors.quote(name)
        or "this") .. " is no member of " .. of)
    end
    node = inner
  until rest == ""
  return node
end

---The view of a property, or the node of a member ("address.city"), which has a `column` too.
---@return table
function resolve.named(mapping, name, where, nested)
  if type(name) ~= "string" then return resolve.view(mapping, name, where, nested) end
  local root, path = name:match("^([^.]+)%.(.+)$")
  local view = resolve.view(mapping, root or name, where, nested)
  if not path then return view end
  if not view.embedded then return resolve.view(mapping, name, where, nested) end
  return resolve.member(mapping, view, path, where)
end

---The columns that an embedded value, or a member of one, is stored in.
---@param node table
---@return table[]
function resolve.node_columns(node)
  if node.column then return { node.column } end
  local columns = {}
  for _, member in ipairs(node.members or {}) do
    for _, column in ipairs(resolve.node_columns(member)) do columns[#columns + 1] = column end
  end
  return columns
end

---The columns behind a property or a member of an embedded one; none where there is no column.
---@param mapping table
---@param name any
---@param where string
---@return table[]
function resolve.columns(mapping, name, where)
  local found = resolve.named(mapping, name, where)
  if found.at then return found.column and found.column.json and {} or resolve.node_columns(found) end
  return found.stored or {}
end

---The view of a property, also when a member of it is named ("address.city"): it is read as a whole.
function resolve.root(mapping, name, where)
  local root = tostring(name):match("^([^.]+)%.")
  local found = resolve.named(mapping, name, where)
  return root and mapping.props[root] or found
end

---The foreign key behind a to-one relation: of the owner its own, of an inverse one-to-one the target's.
---@param mapping table
---@param view table
---@return table|nil fk
---@return boolean inverse
function resolve.foreign_key(mapping, view)
  local owner, property, inverse = mapping, view.name, false
  if not view.columns or #view.columns == 0 then
    owner, property, inverse = view.target, view.prop and view.prop.mapped_by, true
  end
  for _, fk in ipairs(owner and owner.foreign_keys or {}) do
    if fk.property == property and (not inverse or fk.target == mapping.root) then return fk, inverse end
  end
  return nil, inverse
end

return resolve
