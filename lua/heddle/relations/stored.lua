--- Collections and the database: members that were read, what a flush has to write, what it has written.
local collection = require("heddle.collection")
local later = require("heddle.later")

local Collection, copy = collection.class, collection.copy

local function set_of(list)
  local set = {}
  for i = 1, #list do set[list[i]] = true end
  return set
end

---Set by heddle.relations.belonging: whether an instance that the database has in a collection is meant to be in
---memory.
---@type fun(self: heddle.Collection, e: table): boolean
Collection.belongs = nil

---Set by the same: all of many, where that is certain; nil where it is not.
---@type fun(self: heddle.Collection, rows: table[]): table[]|nil
Collection.belonging = nil

---Set by heddle.relations.unseen: the database has an instance in a collection that it was removed from.
---@type fun(self: heddle.Collection, e: table)
Collection.release = nil
later.fill(Collection, {
  ["heddle.relations.belonging"] = "belongs belonging", ["heddle.relations.unseen"] = "release",
})

-- Nobody has had to do with it before.
local function open(self, rows, part)
  local items = rows[1] and self:belonging(rows) or {}
  if not items[1] then
    for i = 1, #rows do
      if self:belongs(rows[i]) then items[#items + 1] = rows[i] end
    end
  end
  self.items, self.snapshot, self.initialized, self.part = items, rows, true, part
  self:gained()
  return true
end

---Takes the database's members in their order. What was added and removed in memory stays so.
---@param rows table[] instances, each once; the list is the collection's from here on
---@param part heddle.Part|nil what was asked for, where that is not all of them in the usual order
---@return boolean|nil whether its members are among these and no others
function Collection:fill(rows, part)
  self:note()
  if not self.initialized and not self.added[1] and not self.removed[1] then return open(self, rows, part) end
  if self.replaced then
    self.snapshot = copy(rows)
    return
  end
  -- Read again: what differs from what was known is the program's.
  local added, left = self:differences()
  local removed = set_of(left)
  local items, there = {}, {}
  for _, e in ipairs(rows) do
    if not removed[e] and not there[e] and self:belongs(e) then
      items[#items + 1] = e
      there[e] = true
    end
  end
  for _, e in ipairs(added) do
    if not there[e] then items[#items + 1] = e end
  end
  self.items, self.place, self.gaps, self.snapshot, self.part = items, nil, nil, copy(rows), part
  self:know()
  self:gained()
  if self:is_partial() then
    self.removed = copy(left)
    for _, e in ipairs(left) do self.fate[e] = "removed" end
  end
  for _, e in ipairs(rows) do
    if removed[e] then self:release(e) end
  end
end

-- From here on it is initialized.
function Collection:know()
  self.initialized, self.added, self.removed, self.fate = true, {}, {}, {}
end

---The members of a collection of which not all are known become known: these and no others.
---@param list table[]
function Collection:replace(list)
  self:touch()
  self.items, self.place, self.gaps, self.replaced, self.snapshot, self.part = copy(list), nil, nil, true, nil, nil
  self:know()
end

---What a flush has to write: members that the database lacks, and those that it has too many.
---@return table[] added in order
---@return table[] removed
function Collection:differences()
  if not self.initialized then return self.added, self.removed end
  local added, removed = {}, {}
  local known, now = set_of(self.snapshot or {}), self:places()
  for _, e in ipairs(self:members()) do
    if not known[e] then added[#added + 1] = e end
  end
  if self:is_partial() then return added, self.removed end
  for _, e in ipairs(self.snapshot or {}) do
    if not now[e] then removed[#removed + 1] = e end
  end
  return added, removed
end

local function has_others(items, snapshot)
  local known = set_of(snapshot)
  for _, e in ipairs(items) do
    if not known[e] then return true end
  end
  return false
end

---Whether members differ from those of the database, in a fixed order whether their order does.
---@return boolean
function Collection:is_dirty()
  if self.replaced then return true end
  if not self.initialized then return self.added[1] ~= nil or self.removed[1] ~= nil end
  local snapshot = self.snapshot
  local items = self:members()
  if self:is_partial() then return self.removed[1] ~= nil or has_others(items, snapshot) end
  if #snapshot ~= #items then return true end
  if self.prop.fixed_order then
    for i, e in ipairs(snapshot) do
      if items[i] ~= e then return true end
    end
    return false
  end
  local now = self:places()
  for _, e in ipairs(snapshot) do
    if not now[e] then return true end
  end
  return false
end

---What is in memory is what the database holds now.
function Collection:settle()
  self:note()
  if self.initialized then self.snapshot = copy(self:members()) end
  self.added, self.removed, self.fate, self.replaced = {}, {}, {}, nil
end

---Instances that no row stands behind any more are members of nothing.
---@param dead table<table, true>
function Collection:bury(dead)
  local function living(list)
    local left, any = {}, false
    for _, e in ipairs(list or {}) do
      if dead[e] then any = true else left[#left + 1] = e end
    end
    return any and left or nil
  end
  local items, snapshot = living(self:members()), living(self.snapshot)
  if not items and not snapshot then return end
  self:note()
  self.items, self.snapshot, self.place = items or self.items, snapshot or self.snapshot, nil
end

---The database has members that nobody has looked at: none is known any more.
function Collection:reopen()
  self:note()
  self.items, self.place, self.gaps, self.snapshot, self.replaced, self.part = {}, nil, nil, nil, nil, nil
  self.initialized, self.added, self.removed, self.fate = false, {}, {}, {}
end

---The owner is a new row again: the database has none of the members.
function Collection:renew()
  self.snapshot, self.replaced, self.noted, self.part = {}, nil, nil, nil
  self:know()
end

return Collection
