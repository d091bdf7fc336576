--- Levels of a query: which aliases and which names of WITH can be seen where, while a builder is read.
---
--- A sub-query in a condition or among the selected items sees the aliases around it. One in a FROM or a JOIN and the
--- body of a WITH do not: they are *closed*. Names of WITH are seen everywhere below.
local errors = require("heddle.errors")
local resolve = require("heddle.resolve")
local suggest = require("heddle.suggest")

local level = {}

---@class heddle.query.Level
---@field parent heddle.query.Level|nil
---@field closed boolean|nil
---@field sources heddle.query.Source[] in order, the root first
---@field ctes table<string, table>

---@class heddle.query.Source
---@field alias string
---@field mapping table an entity's, or one made for what a sub-query gives
---@field how "left"|"inner"|nil nil: the root
---@field is_many boolean|nil one row of what it is joined to may have several of it
---@field is_outer boolean|nil its columns may be missing
---@field scope table|nil in the statement, once there is one

---@param parent heddle.query.Level|nil
---@param closed boolean|nil
---@return heddle.query.Level
function level.new(parent, closed)
  return { parent = parent, closed = closed, sources = {}, by_alias = {}, ctes = {} }
end

---Makes a source known. Two aliases are one to a database when they differ in case only.
---@param self heddle.query.Level
---@param source heddle.query.Source
function level.declare(self, source)
  local folded = source.alias:lower()
  for _, other in ipairs(self.sources) do
    if other.alias:lower() == folded then
      errors.raise("validation", ("alias '%s' of a query is taken: %s has it"):format(source.alias, other.mapping.name),
        { context = source.mapping.context })
    end
  end
  self.sources[#self.sources + 1], self.by_alias[source.alias] = source, source
end

---The source of an alias that can be seen.
---@return heddle.query.Source|nil
function level.source(self, alias)
  while self do
    local source = self.by_alias[alias]
    if source then return source end
    self = not self.closed and self.parent or nil
  end
  return nil
end

---What a name of WITH stands for.
---@return table|nil
function level.cte(self, name)
  while self do
    local cte = self.ctes[name]
    if cte then return cte end
    self = self.parent
  end
  return nil
end

-- Everything that could have been meant by the first part of a name.
local function known_names(self)
  local names = {}
  local root = self.sources[1]
  for _, view in ipairs(root and root.mapping.list or {}) do names[#names + 1] = view.name end
  while self do
    for _, source in ipairs(self.sources) do names[#names + 1] = source.alias end
    self = not self.closed and self.parent or nil
  end
  return names
end

---Finds out of whom a name speaks: "b.title" of the alias b, "title" of the root.
---@param self heddle.query.Level
---@param name any
---@param where string what is being read, for messages
---@return heddle.query.Source source
---@return string rest the name there
function level.split(self, name, where)
  local root = self.sources[1]
  if type(name) ~= "string" then return root, resolve.view(root.mapping, name, where) end
  local first, rest = name:match("^([^.]+)%.(.+)$")
  if not first then return root, name end
  local source = level.source(self, first)
  if source then return source, rest end
  if root.mapping.props[first] then return root, name end
  return errors.raise("unknown_property", ("%s of %s: %s is neither an alias of the query nor a property%s"):format(
    where, root.mapping.name, errors.quote(first), suggest.hint(first, known_names(self))),
    resolve.fields(root.mapping, first))
end

---Refuses a path over relations, which has no meaning where a column is named.
---@param source heddle.query.Source
---@param path string
---@param where string
function level.check_path(source, path, where)
  local first, rest = path:match("^([^.]+)%.(.+)$")
  local view = first and source.mapping.props[first]
  if not (view and view.target) then return end
  return resolve.refuse("validation", source.mapping, first, where, ("this is a relation: join it, as in "
    .. "left_join(\"%s\", \"x\"), and name \"x.%s\""):format(first, rest))
end

return level
