--- What `populate` says, as a tree of levels: paths and their options, checked against the mappings before anything is
--- sent.
---
--- A level is an entity that is reached by one path; below it stand those that its relations lead to. Everything said
--- about a path is in `options` of the level above it, and in `own` of the level itself: the same table.
local errors = require("heddle.errors")
local filter_names = require("heddle.named_filters.names")
local options = require("heddle.options")
local resolve = require("heddle.resolve")
local select = require("heddle.select")

local tree = {}

-- Deeper than what anybody means: request data, and tables that hold themselves, come to an end here.
local DEEPEST = 100

---@class heddle.LevelOptions
---@field where any what a filter takes; nil where every row will do
---@field order_by table|nil
---@field limit integer|nil members of each owner
---@field offset integer|nil
---@field fields string[]|nil properties to read, or those to read besides the usual ones (`select.besides`), for
---select.find: foreign keys that populate needs are among them, names with a relation in front are not
---@field exclude string[]|nil
---@field filters table|false|nil
---@field strategy string|nil

---@class heddle.Level
---@field map table
---@field own heddle.LevelOptions
---@field views table[] relations to load, in the order of the paths
---@field below table<string, heddle.Level> by the relation's name
---@field options table<string, heddle.LevelOptions> likewise
---@field depth integer
---@field with string[]|nil properties that paths end in
---@field said boolean|nil whether options of it were given
local function new_level(map, depth)
  return { map = map, own = {}, views = {}, below = {}, options = {}, depth = depth }
end

local function is_relation(view)
  return view.target ~= nil and view.kind ~= "embedded"
end

---Whether a relation's targets are in its own columns; those of other relations are asked for by the owners' keys.
function tree.is_to_one(view)
  return view.columns ~= nil and #view.columns > 0
end

local function refuse(map, name, kind, message)
  return errors.raise(kind, ("populate of %s: %s"):format(map.name, message), { context = map.context,
    entity = map.name, property = name })
end

-- Paths ----------------------------------------------------------------------------------------------------

local function enter(level, view)
  local below = level.below[view.name]
  if not below then
    if level.depth == DEEPEST then
      refuse(level.map, view.name, "validation", "more than " .. DEEPEST .. " relations one behind the other")
    end
    below = new_level(view.target, level.depth + 1)
    level.views[#level.views + 1] = view
    level.below[view.name], level.options[view.name] = below, below.own
  end
  return below
end

local function enter_all(level)
  for _, view in ipairs(level.map.list) do
    if is_relation(view) then enter(level, view) end
  end
end

local function add_property(level, view)
  level.with = level.with or {}
  table.insert(level.with, view.name)
end

-- The level that a path leads to, the relation before it and the entity that has this; nil where it leads to a property
-- or to every relation.
local function follow(build, level, path)
  local view, map
  for name, rest in (path .. "."):gmatch("([^.]*)%.()") do
    local is_last = rest == #path + 2
    if name == "*" and is_last then return enter_all(level) end
    map = level.map
    view = resolve.view(map, name, "populate")
    if view.embedded then
      if not is_last then resolve.member(map, view, path:sub(rest), "populate") end
      if view.prop.lazy or build.takes_properties then add_property(level, view) end
      return nil -- a value is loaded as a whole
    elseif is_relation(view) then
      level = enter(level, view)
    elseif is_last and view.stored and (view.prop.lazy or build.takes_properties) then
      return add_property(level, view)
    else
      refuse(map, name, "validation", ("'%s' is no relation"):format(name))
    end
  end
  return level, view, map
end

-- Options of a path ----------------------------------------------------------------------------------------

local function list_or_text(value)
  if type(value) ~= "table" and type(value) ~= "string" then return "a path or a list of them" end
end

local rules = {
  where = options.any, order_by = options.table, limit = options.integer(0), offset = options.integer(0),
  fields = options.list_of(options.string), exclude = options.list_of(options.string), filters = options.any,
  strategy = options.one_of({ "select_in", "joined" }), populate = list_or_text,
}

-- What says something of the collections that are read, and nothing of a single target.
local of_many = { "limit", "offset", "order_by" }

local read

local function is_empty(value)
  return type(value) == "table" and getmetatable(value) == nil and next(value) == nil
end

local function say(build, below, view, given, fail)
  options.check(given, rules, fail)
  if given.filters ~= nil then filter_names.check(view.target, given.filters) end
  local own, says = below.own, false
  for name, value in pairs(given) do
    if rules[name] and name ~= "populate" then
      if below.said then fail("options are given twice; say them in one place") end
      if name == "fields" or name == "exclude" then
        build.names[#build.names + 1] = { level = below, names = value, option = name }
      elseif name ~= "where" or not is_empty(value) then
        own[name] = value
      end
      says = true
    end
  end
  below.said = below.said or says
  if view.kind == "many_to_one" or view.kind == "one_to_one" then
    for _, name in ipairs(of_many) do
      if given[name] ~= nil then fail(("option '%s' is for relations to many"):format(name)) end
    end
  end
  if given.populate ~= nil then read(build, below, given.populate) end
end

local function read_entry(build, level, path, given)
  local below, view, map = follow(build, level, path)
  if given == nil then return end
  if not below then
    refuse(level.map, nil, "validation", ("'%s' takes no options: they are said of one relation"):format(path))
  end
  return say(build, below, view, given, function(message, is_unknown)
    refuse(map, view.name, is_unknown and "unknown_property" or "validation", ("'%s': %s"):format(path, message))
  end)
end

-- { "books", where = ... }
local function read_item(build, level, item)
  if type(item) == "string" then return read_entry(build, level, item) end
  if type(item) ~= "table" or getmetatable(item) ~= nil then
    refuse(level.map, nil, "validation", "takes a list of paths, each a string or a table with one, not a "
      .. type(item))
  end
  if type(item[1]) ~= "string" or item[2] ~= nil then
    refuse(level.map, nil, "validation", "an entry is one path and its options, as in { \"path\", limit = 3 }")
  end
  return read_entry(build, level, item[1], item)
end

-- Strings, tables with a path first, options by path.
function read(build, level, paths)
  if type(paths) == "string" then paths = { paths } end
  if type(paths) ~= "table" or getmetatable(paths) ~= nil then
    refuse(level.map, nil, "validation", "takes a list of paths, not a " .. type(paths))
  end
  for _, item in ipairs(paths) do read_item(build, level, item) end
  for _, key in ipairs(options.sorted_keys(paths)) do
    if type(key) == "string" then
      if type(paths[key]) ~= "table" or getmetatable(paths[key]) ~= nil then
        refuse(level.map, nil, "validation", ("options of '%s' are a table, not a %s"):format(key, type(paths[key])))
      end
      if paths[key][1] ~= nil then
        refuse(level.map, nil, "validation", ("options of '%s' are named: a list says nothing there"):format(key))
      end
      read_entry(build, level, key, paths[key])
    elseif type(key) ~= "number" or not (key >= 1 and key <= #paths and key % 1 == 0) then
      refuse(level.map, nil, "validation", "takes a list of paths without holes, and options by path")
    end
  end
end

-- Fields ---------------------------------------------------------------------------------------------------

-- Names with a relation in front belong to the level below: `fields` loads the relation, `exclude` does not.
local function add_name(level, name, option)
  local own = level.own
  own[option] = own[option] or {}
  local first, rest = name:match("^([^.]+)%.(.+)$")
  local view = first and resolve.view(level.map, first, option)
  if not view or not is_relation(view) then
    select.named(level.map, { name }, option)
    own[option][#own[option] + 1] = name
  elseif option == "fields" then
    return add_name(enter(level, view), rest, option)
  else
    return add_name(level.below[view.name] or new_level(view.target, level.depth + 1), rest, option)
  end
end

local function add_names(build, option)
  for _, item in ipairs(build.names) do
    for _, name in ipairs(item.option == option and item.names or {}) do add_name(item.level, name, option) end
    if item.option == option then item.level.own[option] = item.level.own[option] or {} end
  end
end

local function has(list, name)
  for _, item in ipairs(list or {}) do
    if item == name then return true end
  end
  return false
end

-- What has to be read so that a level can be loaded.
local function require_name(level, name)
  local own = level.own
  if has(own.exclude, name) then
    refuse(level.map, name, "validation", ("exclude names '%s', which is to be loaded"):format(name))
  end
  if own.fields and not has(own.fields, name) then own.fields[#own.fields + 1] = name end
end

-- A member's own side of the relation is read with it, whatever is left out: by it the member leaves and moves.
local function require_back(level, name)
  local own = level.own
  for i = #(own.exclude or {}), 1, -1 do
    if own.exclude[i] == name then table.remove(own.exclude, i) end
  end
  if own.fields then require_name(level, name) end
end

local function close(level)
  for _, name in ipairs(level.with or {}) do require_name(level, name) end
  for _, view in ipairs(level.views) do
    local below = level.below[view.name]
    if tree.is_to_one(view) then require_name(level, view.name) end
    local back = view.inverse
    if back and tree.is_to_one(back) and not below.below[back.name] then require_back(below, back.name) end
    close(below)
  end
  if level.with and not level.own.fields then level.own.fields = select.besides(level.with) end
end

local function is_list(value)
  if type(value) ~= "table" or getmetatable(value) ~= nil then return false end
  return options.list_of(options.string)(value) == nil
end

---The tree of levels that `populate` stands for, with what `fields` and `exclude` of a query say about it. Raises
---`unknown_property`, `validation`.
---@param map table
---@param paths table|string
---@param opts? { fields: any, exclude: any }
---@param takes_properties? boolean a path may end in any property, not only in one that is lazy
---@return heddle.Level
function tree.plan(map, paths, opts, takes_properties)
  local top, build = new_level(map, 0), { names = {}, takes_properties = takes_properties }
  read(build, top, paths)
  for _, option in ipairs({ "fields", "exclude" }) do
    local names = opts and opts[option]
    if is_list(names) then
      build.names[#build.names + 1] = { level = top, names = names, option = option }
    elseif names ~= nil then
      errors.raise("validation", ("option '%s' of a query on %s: takes a list of names"):format(option, map.name),
        resolve.fields(map))
    end
  end
  add_names(build, "fields")
  add_names(build, "exclude")
  for _, view in ipairs(takes_properties and top.views or {}) do
    if tree.is_to_one(view) then add_property(top, view) end -- what leads there may be missing
  end
  close(top)
  return top
end

---The tree of one relation of which nothing is said.
---@return heddle.Level
function tree.single(map, view)
  local level = new_level(map, 0)
  enter(level, view)
  return level
end

return tree
