--- The methods of collections as programs see them: `author.books:add(book)`, `#author.books`, `author.books[1]`.
local core = require("heddle.core")
local errors = require("heddle.errors")
local instance = require("heddle.instance")
local loading = require("heddle.relations.loading")
local relate = require("heddle.relate")
local relations = require("heddle.relations")
local shown = require("heddle.relations.shown")

local HOW = "call :load(), or populate it"

local methods = {}

local function state_of(handle, name)
  local state = core.handle_state(handle)
  if not state then
    errors.raise("validation", ("call a collection's method with ':': author.books:%s(...)"):format(name))
  end
  return state
end

local function check_loaded(state)
  if state.initialized then return state end
  return instance.raise_not_loaded(getmetatable(state.owner), state.owner, state.prop.name, HOW)
end

-- Where the owner's rows are read from. Raises `not_managed`.
local function source(state)
  local meta = getmetatable(state.owner)
  local shelf = meta.box and meta.box.shelf
  if shelf and not shelf.new[meta.slot_of[state.owner]] then return shelf.em, meta.views[state.prop.name] end
  errors.raise("not_managed", ("%s.%s: this %s %s, so that nothing can be read for it"):format(meta.definition.name,
    state.prop.name, meta.definition.name, shelf and "has no row yet" or "has no entity manager"),
    { entity = meta.definition.name, property = state.prop.name, context = meta.context_name })
end

-- Instances one by one, or one list of them.
local function arguments(state, ...)
  local first = ...
  if select("#", ...) == 1 and instance.meta_of(first) == nil then
    return shown.list(getmetatable(state.owner), state.prop, first)
  end
  local list = { ... }
  for i = 1, select("#", ...) do
    if list[i] == nil then relate.check_member(state.owner, state.prop, nil) end
  end
  return list
end

---Makes instances members. Works on a collection that is not loaded. Raises `validation`, `wrong_context`,
---`not_managed`.
---
---Usage: `author.books:add(book)`, `book.tags:add(lua, c)`, `book.tags:add { lua, c }`
---@return userdata the collection
function methods.add(handle, ...)
  local state = state_of(handle, "add")
  relations.add(state, arguments(state, ...))
  return handle
end

---Makes instances no members any more. Works on a collection that is not loaded. Raises as add.
---
---Usage: `book.tags:remove(lua)`
---@return userdata the collection
function methods.remove(handle, ...)
  local state = state_of(handle, "remove")
  relations.remove(state, arguments(state, ...))
  return handle
end

---Makes these the members and no others. Of a collection that is not loaded the next flush reads what has to go.
---
---Usage: `book.tags:set { lua, c }`
---@param list table[]
---@return userdata the collection
function methods.set(handle, list)
  local state = state_of(handle, "set")
  relations.set(state, shown.list(getmetatable(state.owner), state.prop, list))
  return handle
end

---Empties the collection.
---
---Usage: `book.tags:remove_all()`
---@return userdata the collection
function methods.remove_all(handle)
  relations.set(state_of(handle, "remove_all"), {})
  return handle
end

---Whether an instance is a member. Raises `not_loaded` where nobody knows.
---@return boolean
function methods.contains(handle, e)
  local state = state_of(handle, "contains")
  local has = state:has(e)
  if has == nil then check_loaded(state) end
  return has or false
end

---How many members there are in memory. Raises `not_loaded`.
---@return integer
function methods.count(handle)
  return #check_loaded(state_of(handle, "count")):members()
end

---The members as an array of the program's own. Raises `not_loaded`.
---@return table[]
function methods.items(handle)
  local list = {}
  for i, e in ipairs(check_loaded(state_of(handle, "items")):members()) do list[i] = e end
  return list
end

---Walks the members that there are now; the collection may be changed meanwhile. Raises `not_loaded`.
---
---Usage: `for i, book in author.books:iter() do ... end`
function methods.iter(handle)
  return ipairs(methods.items(handle))
end

---Reads the members unless they are there; `{ refresh = true }` reads again. With `where`, `limit` or `offset` the
---collection shows what these find. Raises `not_managed`, `unknown_property` for an option that it has not, and what a
---query raises.
---
---Usage: `for i, book in author.books:load():iter() do ... end`
---@param opts? table those of an entry of `populate`; `refresh flush_mode connection timeout` as em:load takes them
---@return userdata the collection
function methods.load(handle, opts)
  local state = state_of(handle, "load")
  loading.check(state.prop.name, opts)
  local meta = getmetatable(state.owner)
  local is_filtered = meta.box and meta.views[state.prop.name].target.named ~= nil
  if opts == nil and state.initialized and not state:is_partial() and not is_filtered then return handle end
  local em, view = source(state)
  loading.collection(em, view, state.owner, opts)
  return handle
end

---How many members the database has; none of them is read.
---
---Usage: `local n = author.books:load_count()`, `author.books:load_count { filters = false }`
---@param opts? table as em:count takes them
---@return integer
function methods.load_count(handle, opts)
  local state = state_of(handle, "load_count")
  local em, view = source(state)
  return loading.count(em, view, state.owner, opts)
end

---The members that a filter finds in the database, as em:find gives them; the collection stays as it is.
---
---Usage: `local drafts = author.books:matching({ published = false }, { order_by = { "title" } })`
---@return table[]
function methods.matching(handle, where, opts)
  local state = state_of(handle, "matching")
  local em, view = source(state)
  return loading.matching(em, view, state.owner, where, opts)
end

---Whether the members are known.
---@return boolean
function methods.is_initialized(handle)
  return state_of(handle, "is_initialized").initialized
end

---Whether the next flush has something to write for it.
---@return boolean
function methods.is_dirty(handle)
  return state_of(handle, "is_dirty"):is_dirty()
end

local meta = core.handle_meta

function meta.__index(handle, key)
  if type(key) ~= "number" then return methods[key] end
  return check_loaded(core.handle_state(handle)):members()[key]
end

function meta.__newindex(handle)
  local state = core.handle_state(handle)
  local definition = getmetatable(state.owner).definition
  errors.raise("validation", ("%s.%s is a collection: change it with :add, :remove and :set"):format(definition.name,
    state.prop.name), { entity = definition.name, property = state.prop.name })
end

function meta.__len(handle)
  return #check_loaded(core.handle_state(handle)):members()
end

function meta.__tostring(handle)
  local state = core.handle_state(handle)
  local name = getmetatable(state.owner).definition.name .. "." .. state.prop.name
  if not state.initialized then return name .. " (not loaded)" end
  return ("%s (%d%s)"):format(name, #state:members(), state:is_partial() and ", in part" or "")
end

return methods
