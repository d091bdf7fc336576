--- What of a graph is wanted: the options of `orm.to_table` as a tree of nodes, one for each level of it.
local class = require("heddle.class")
local errors = require("heddle.errors")
local instance = require("heddle.instance")
local suggest = require("heddle.suggest")

---@class heddle.Wanted
---@field everything boolean? every relation that is loaded is followed, on all levels below too
---@field follow table<string, boolean> relations that are followed
---@field fields table<string, boolean>|nil the properties that are given; nil: all
---@field exclude table<string, boolean> the properties that are not
---@field below table<string, heddle.Wanted> what is wanted of a relation's targets, of an embedded value
local wanted = {}

local function new(everything)
  return { everything = everything, follow = {}, exclude = {}, below = {} }
end

local function refuse(message)
  errors.raise("validation", "orm.to_table: " .. message)
end

local function below(node, name)
  node.below[name] = node.below[name] or new(node.everything)
  return node.below[name]
end

-- Calls `fn(node, name, is_last)` for each name of a path.
local function walk(top, path, fn)
  local node = top
  for name, after in (path .. "."):gmatch("([^.]*)%.()") do
    fn(node, name, after > #path + 1)
    if after <= #path + 1 then node = below(node, name) end
  end
end

local marks = {}

function marks.populate(node, name, is_last)
  if name ~= "*" then
    node.follow[name] = true
  elseif is_last then
    node.follow_all = true
  else
    refuse("'*' ends a path of 'populate'")
  end
end

-- Naming a property of a relation's targets asks for the relation.
function marks.fields(node, name, is_last)
  node.fields = node.fields or {}
  node.fields[name] = true
  if not is_last then node.follow[name] = true end
end

function marks.exclude(node, name, is_last)
  if is_last then node.exclude[name] = true end
end

local function read_paths(top, option, paths)
  if type(paths) == "string" then paths = { paths } end
  if type(paths) ~= "table" or getmetatable(paths) ~= nil then
    refuse("'" .. option .. "' takes a list of names, not a " .. type(paths))
  end
  local count = 0
  for _ in pairs(paths) do count = count + 1 end
  if count ~= #paths then refuse("'" .. option .. "' takes a list of names") end
  for _, path in ipairs(paths) do
    if type(path) ~= "string" then refuse("'" .. option .. "' takes names, not a " .. type(path)) end
    walk(top, path, marks[option])
  end
end

local known = { populate = true, fields = true, exclude = true, nulls = true }

---The tree of the options. Raises `validation`, `unknown_property`.
---@param opts table|nil
---@return heddle.Wanted
function wanted.read(opts)
  if opts == nil then return new() end
  if type(opts) ~= "table" or getmetatable(opts) ~= nil then refuse("its options are a table, not a " .. type(opts)) end
  for name in pairs(opts) do
    if not known[name] then
      errors.raise("unknown_property", "orm.to_table: " .. errors.quote(name) .. " is not an option of it"
        .. suggest.hint(name, known))
    end
  end
  if opts.nulls ~= nil and type(opts.nulls) ~= "boolean" then refuse("'nulls' is true or false") end
  local top = new(opts.populate == true or nil)
  if opts.populate ~= nil and type(opts.populate) ~= "boolean" then read_paths(top, "populate", opts.populate) end
  for _, option in ipairs({ "fields", "exclude" }) do
    if opts[option] ~= nil then read_paths(top, option, opts[option]) end
  end
  return top
end

local function raise_unknown(definition, name, option)
  errors.raise("unknown_property", ("orm.to_table: '%s' names %s, which is not a property of %s%s"):format(option,
    errors.quote(name), definition.name, suggest.hint(name, definition.by_name)), { entity = definition.name,
    property = name })
end

-- Whether an entity, or one that extends it, has a property of this name: a list may hold both. An open one has what
-- its instances have.
local function has(definition, name)
  if definition.by_name[name] or definition.open then return true end
  for child in pairs(definition.children or {}) do
    if has(child, name) then return true end
  end
  return false
end

local function check_relation(definition, name)
  local prop = definition.by_name[name]
  if prop and (instance.kind_of(prop) == "one" or instance.kind_of(prop) == "many") then return end
  if not prop then return end -- of an entity that extends this one
  errors.raise("validation", ("orm.to_table: 'populate' names %s.%s, which is no relation"):format(definition.name,
    name), { entity = definition.name, property = name })
end

-- The definition behind a property, and the views of its mapping, where they are known: a relation of an instance that
-- is in no context may know its target by name only. nil too for a property of an entity that extends this one.
local function target_of(definition, name, views)
  local prop = definition.by_name[name]
  if not prop then return nil end
  if prop.kind == "scalar" then
    errors.raise("validation", ("orm.to_table: a path leads through %s.%s, which is neither a relation nor an embedded "
      .. "value"):format(definition.name, name), { entity = definition.name, property = name })
  end
  local target = views and views[name] and views[name].target
  if target then return target.meta, target.props end
  return class.definition_of(prop.target)
end

---Checks the names of a node against the entity, or embeddable, that it is used with, once. Raises `unknown_property`,
---`validation`.
---@param node heddle.Wanted
---@param definition table
---@param views? table<string, table> of its mapping
function wanted.check(node, definition, views)
  node.checked = node.checked or {}
  if node.checked[definition] then return end
  node.checked[definition] = true
  for _, option in ipairs({ "follow", "fields", "exclude" }) do
    for name in pairs(node[option] or {}) do
      if not has(definition, name) then
        raise_unknown(definition, name, option == "follow" and "populate" or option)
      end
      if option == "follow" and not (node.fields and node.fields[name]) then check_relation(definition, name) end
    end
  end
  for name, child in pairs(node.below) do
    if not has(definition, name) then raise_unknown(definition, name, "exclude") end
    local target, below_views = target_of(definition, name, views)
    if target then wanted.check(child, target, below_views) end
  end
end

---Whether a property is given. A relation that is to be followed is, whatever the fields.
function wanted.has(node, name)
  return (node.fields == nil or node.fields[name] or node.follow[name] or false) and not node.exclude[name]
end

---What is wanted of a relation's targets; nil when the relation is not followed.
---@return heddle.Wanted|nil
function wanted.follow(node, name)
  if not (node.everything or node.follow_all or node.follow[name]) then return nil end
  return below(node, name)
end

return wanted
