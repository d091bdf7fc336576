--- One changed table on its way: which columns are made anew, and what hangs on them.
---
--- A generated column cannot change its expression, nor a column its type under a generated one: those are dropped and
--- added again, their values are computed. What the table keeps of indexes and constraints over them goes before and
--- comes again behind.
local words = require("heddle.schema.postgres.words")

local Entry = {}
Entry.__index = Entry

local entry = {}

local kinds = { "uniques", "indexes", "checks", "foreign_keys" }

local function find(list, name)
  for _, item in ipairs(list) do
    if item.name == name then return item end
  end
end

-- Generated columns over a column that changes its type or goes.
local function add_readers(self, name)
  for _, was in ipairs(self.was.columns) do
    local now = was.generated and find(self.now.columns, self:new_name(was.name))
    if now and now.generated and words.mentions(was.generated, name) then self.rebuilt[now.name] = was end
  end
end

local function collect(self)
  for _, change in ipairs(self.columns.altered) do
    local anew = change.generated and change.now.generated
    if anew then
      self.rebuilt[change.now.name] = change.was
    elseif change.type then
      self.retyped[change.now.name] = change
      add_readers(self, change.was.name)
    end
  end
  for _, column in ipairs(self.columns.dropped) do add_readers(self, column.name) end
end

---@param changed table of `changes.changed`
---@return table
function entry.new(changed)
  local self = setmetatable({ was = changed.was, now = changed.now, columns = changed.columns,
    primary = changed.primary, comment = changed.comment, changed = changed,
    rebuilt = {}, retyped = {}, new_names = {}, old_names = {} }, Entry)
  for _, pair in ipairs(changed.columns.renamed) do self.new_names[pair.from] = pair.to end
  for _, kind in ipairs(kinds) do
    self[kind], self.old_names[kind] = changed[kind], {}
    for _, pair in ipairs(changed[kind].renamed) do self.old_names[kind][pair.to] = pair.from end
  end
  collect(self)
  return self
end

---What a live column is called from now on.
function Entry:new_name(name)
  return self.new_names[name] or name
end

---What a constraint or index that stays is called in the database.
function Entry:old_name(kind, item)
  return self.old_names[kind][item.name] or item.name
end

local function columns_of(item)
  local names = {}
  for _, name in ipairs(item.columns or {}) do names[name] = true end
  for _, name in ipairs(item.include or {}) do names[name] = true end
  return names
end

-- Whether a constraint or an index is over a column.
local function is_over(item, name)
  if columns_of(item)[name] then return true end
  for _, part in ipairs(item.parts or {}) do
    if part.column == name or part.expression and words.mentions(part.expression, name) then return true end
  end
  return item.where and words.mentions(item.where, name) or item.expression and words.mentions(item.expression, name)
end

---Whether what stays is over a column that is made anew.
---@param item table
---@return boolean
function Entry:is_disturbed(item)
  for name in pairs(self.rebuilt) do
    if is_over(item, name) then return true end
  end
  return false
end

---The column with a type of another family under a text (a check, a condition, an expression) that stays only because
---nothing is dropped; nil where there is none.
---@param kind string
---@param item table
---@param wanted table the table as the entity has it
---@param breaks fun(was: table, now: table): boolean
---@return table|nil column
function Entry:conflict(kind, item, wanted, breaks)
  if find(wanted[kind], item.name) then return nil end
  local has_text = item.expression or item.where or item.method
  for _, part in ipairs(item.parts or {}) do has_text = has_text or part.expression or part.opclass end
  if not has_text then return nil end
  for name, change in pairs(self.retyped) do
    if is_over(item, name) and breaks(change.was, change.now) then return change.now end
  end
end

---Whether a foreign key with one end at these columns must go while they change.
---@param columns string[]
---@param breaks fun(was: table, now: table): boolean
---@return boolean
function Entry:breaks(columns, breaks)
  for _, name in ipairs(columns) do
    local change = self.retyped[name]
    if self.rebuilt[name] or change and breaks(change.was, change.now) then return true end
  end
  return false
end

---Those of a kind that stay.
---@param kind string
---@return table[]
function Entry:kept(kind)
  local added, kept = {}, {}
  for _, item in ipairs(self[kind].added) do added[item.name] = true end
  for _, item in ipairs(self.now[kind]) do
    if not added[item.name] then kept[#kept + 1] = item end
  end
  return kept
end

return entry
