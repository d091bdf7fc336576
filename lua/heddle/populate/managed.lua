--- The loader of populate for the instances of an entity manager: references become loaded, collections filled.
local compat = require("heddle.compat")
local later = require("heddle.later")
local find_options = later.module("heddle.find_options")
local op = require("heddle.op")
local populate = require("heddle.populate")
local relations = later.module("heddle.relations")
local select = require("heddle.select")

local Loader = {}
Loader.__index = Loader

local managed = {}

---Set by heddle.relations.loading: what was read just now, and how many of it.
---@type fun(em: table, view: table, owners: table[], opts: table, level: table): table<table, true>, integer
managed.load = nil
---Set by heddle.fetch: reads rows of an entity.
---@type fun(em: table, map: table, where: any, selected: table, opts: table, more: table): table[]
managed.read = nil
---Set by heddle.populate.children: the members of many owners, where there is a short way to them.
---@type fun(em: table, view: table, owners: table[], opts: table|nil, level: table): table[]|nil
managed.children = nil
later.fill(managed, {
  ["heddle.relations.loading"] = "load", ["heddle.fetch"] = "read", ["heddle.populate.children"] = "children",
})

---@param em heddle.EntityManager
---@param opts? table of the query; `refresh`: what is loaded is read again, what was changed in memory dropped
function managed.loader(em, opts)
  return setmetatable({ em = em, opts = opts, refresh = opts and opts.refresh }, Loader)
end

-- Options of one of the loader's own queries.
local function own_options(self, refresh)
  return find_options.shared(self.opts, { flush_mode = "commit", refresh = refresh })
end

-- Reads rows by their keys; gives those that are there.
local function fill(self, map, missing, below, refresh, filters)
  local where, found = below.own.where, {}
  for part in populate.parts(map, missing.keys) do
    local condition = op.one_of(part)
    if where ~= nil then condition = op.all({ condition, where }) end
    local list = managed.read(self.em, map, condition, missing.selected, own_options(self, refresh), below,
      filters)
    for i = 1, #list do found[#found + 1] = list[i] end
  end
  return found
end

-- Notes what a partial row lacks of some columns; whether it is anything.
local function note_missing(overlay, columns, names)
  local found, loaded, assigned = false, overlay.loaded, overlay.assigned
  for i = 1, #columns do
    local index = columns[i].index
    if not loaded[index] and not assigned[index] then
      found, names[columns[i].view.name] = true, true
    end
  end
  return found
end

-- What of a level's columns an entity has; `named`: only what the level names.
local function columns_of(of, map, own, named)
  local set, list = {}, {}
  if named then own = { fields = own.fields and { compat.unpack(own.fields) } or {} } end
  for _, column in ipairs((select.columns_of(map, own))) do set[column] = true end
  for _, column in ipairs(of.owned) do
    if set[column] then list[#list + 1] = column end
  end
  return list
end

-- Where nothing is to be read but columns of rows that are there, these; else all that is asked for.
local function selected(map, own, names, is_all)
  local fields = {}
  for name in pairs(names) do
    is_all = is_all or not map.props[name] -- of an entity that extends it
    fields[#fields + 1] = name
  end
  if is_all then return { fields = own.fields, exclude = own.exclude } end
  table.sort(fields)
  return { fields = fields }
end

local refreshed = { reference = true, partial = true, managed = true }

-- The keys of those that lack something of what is asked for, and what is to be selected; nil when none does.
local function lacking(self, map, list, own, refresh, named)
  local shelf, keys, names, is_all, columns = self.em:shelf_of(map), {}, {}, false, {}
  for i = 1, #list do
    local e = list[i]
    local meta = getmetatable(e)
    local slot = (refresh or meta.load_state ~= "loaded") and shelf.slot_of[e]
    local row = slot and shelf:state(slot)
    local is_missing = refresh and refreshed[row] or row == "reference"
    if is_missing then
      is_all = true
    elseif row == "partial" then
      local of = meta.mapping
      columns[of] = columns[of] or columns_of(of, map, own, named)
      is_missing = note_missing(shelf.overlay[slot], columns[of], names)
    end
    if is_missing then keys[#keys + 1] = shelf:program_key(slot) end
  end
  return keys[1] and { keys = keys, selected = selected(map, own, names, is_all) } or nil
end

local function overlay_of(e)
  local meta = getmetatable(e)
  return meta.overlay and meta.overlay[meta.slot_of[e]]
end

---What a relation leads to; nil for one that was not read.
function managed.target_of(e, view)
  local overlay = overlay_of(e)
  local loaded = overlay and overlay.loaded
  if loaded and not loaded[view.columns[1].index] and overlay.rel[view.name] == nil then return nil end
  return e[view.name]
end

-- A one_to_one that was read says what its other side holds, unless it was assigned.
local function fill_inverse(e, view, target)
  local overlay = overlay_of(e)
  if not getmetatable(e).box or overlay and overlay.rel[view.name] ~= nil then return end
  local state = relations.collection(target, view.inverse.name)
  if not state.initialized or state:is_partial() and not state:known()[1] then state:fill({ e }) end
end

---Fills the other sides of a one_to_one.
---@param list table[] owners
function managed.fill_inverses(view, list)
  for _, e in ipairs(list) do
    local target = managed.target_of(e, view)
    if target ~= nil then fill_inverse(e, view, target) end
  end
end

-- Those that are more than references.
local function loaded(list)
  local some = {}
  for _, e in ipairs(list) do
    if getmetatable(e).load_state ~= "reference" then some[#some + 1] = e end
  end
  return some
end

-- Reads what those of a list lack. Named filters hide rows that nobody has seen; of those that are there they say
-- nothing.
local function complete(self, map, list, below, refresh, named)
  local filters, seen = below.named, {}
  if filters and below.own.where == nil and filters:condition(map) then
    local unseen = {}
    for _, e in ipairs(list) do
      local group = getmetatable(e).load_state == "reference" and unseen or seen
      group[#group + 1] = e
    end
    list = unseen
  end
  local missing = lacking(self, map, list, below.own, refresh, named)
  if missing then fill(self, map, missing, below, refresh, filters) end
  missing = lacking(self, map, seen, below.own, refresh, named)
  if missing then fill(self, map, missing, below, refresh) end
end

-- Loads the targets that a condition holds for, and gives them. Whom nothing lies below is not looked at again.
local function load_some(self, view, targets, below)
  local missing = lacking(self, view.target, targets, below.own, self.refresh or below.views[1] ~= nil)
  return missing and fill(self, view.target, missing, below, self.refresh, below.named) or {}
end

---Loads the targets of a relation that lack something; gives all targets, each once.
function Loader:targets(level, view, list)
  local seen, targets, below = {}, {}, level.below[view.name]
  for _, e in ipairs(list) do
    local target = managed.target_of(e, view)
    if target ~= nil and not seen[target] then
      seen[target] = true
      targets[#targets + 1] = target
    end
  end
  if view.kind == "one_to_one" and view.inverse then managed.fill_inverses(view, list) end
  populate.asked(level, view, self.em, self.opts)
  if below.own.where ~= nil then return load_some(self, view, targets, below) end
  self:rows(below, targets)
  return loaded(targets)
end

---Loads the members of a relation that are asked for and not known; gives all that it shows, each once, where something
---lies below them.
function Loader:members(level, view, list)
  local below = level.below[view.name]
  local options = own_options(self, self.refresh)
  local members = managed.children(self.em, view, list, options, level)
  if members then return members end
  local seen, all, known = {}, {}, {}
  local fresh, count = managed.load(self.em, view, list, options, level)
  if not below.views[1] and count == #list then return all end
  for _, e in ipairs(list) do
    local state = relations.collection(e, view.name)
    for _, member in ipairs(state:known()) do
      if not seen[member] then
        seen[member] = true
        all[#all + 1] = member
        if not fresh[state] then known[#known + 1] = member end
      end
    end
  end
  complete(self, view.target, known, below)
  return all
end

---Loads those of a list that lack something of what a level asks for.
---@param named? boolean of loaded rows only what the level names counts
function Loader:rows(level, list, named)
  complete(self, level.map, list, level, self.refresh, named)
end

return managed
