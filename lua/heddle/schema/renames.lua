--- Which tables and columns are only called otherwise now. Certain it is when both models say which entity and property
--- they are of, or when the caller says so; nothing is guessed, what looks like it becomes a hint.
local errors = require("heddle.errors")
local followers = require("heddle.schema.followers")
local model = require("heddle.schema.model")
local suggest = require("heddle.suggest")

local renames = {}

-- Tables or columns by what they are of, where that is one only.
local function by_identity(list, field)
  local found = {}
  for _, item in ipairs(list) do
    local identity = item[field]
    if identity then found[identity] = found[identity] == nil and item or false end
  end
  return found
end

local function fold(run, name)
  return run.driver == "sqlite" and name:gsub("%u", string.lower) or name
end

local function columns_of(run, t)
  local found = {}
  for _, column in ipairs(t.columns) do found[fold(run, column.name)] = column end
  return found
end

local function key_of(run, t)
  return model.key(t.name, t.schema, run.driver)
end

-- The wanted table that a live one becomes.
local function successor(run, t)
  local key = key_of(run, t)
  return run.tables[key] or run.wanted_by_key[key]
end

local function refuse(message)
  errors.raise("migration", "option 'rename': " .. message)
end

local function rename_table(run, from, to)
  run.tables[key_of(run, from)] = to
  run.taken[key_of(run, to)] = true
end

local function rename_column(run, t, from, to)
  local key = key_of(run, t)
  run.columns[key] = run.columns[key] or {}
  run.columns[key][fold(run, from)] = to
end

-- Asked for ----------------------------------------------------------------------------------------------------

-- "users" or "crew.users"; a name with a dot in it is one, too.
local function find_table(run, list, name)
  for _, t in ipairs(list) do
    local full = model.path(t)
    if fold(run, full) == fold(run, name) or fold(run, t.name) == fold(run, name) then return t end
  end
end

local function table_names(list)
  local names = {}
  for i, t in ipairs(list) do names[i] = model.path(t) end
  return names
end

local function column_names(t)
  local names = {}
  for i, column in ipairs(t.columns) do names[i] = column.name end
  return names
end

local function ask_table(run, from, name)
  local to
  for _, t in ipairs(run.wanted.tables) do
    local full = t.schema and t.schema .. "." .. t.name
    if name == full or fold(run, t.name) == fold(run, name) and (not to or t.schema == from.schema) then to = t end
  end
  if not to then
    refuse(("table '%s' becomes '%s', which is no entity's table%s"):format(from.name, name,
      suggest.hint(name, table_names(run.wanted.tables))))
  end
  if key_of(run, from) == key_of(run, to) then refuse(("table '%s' is called so already"):format(from.name)) end
  if run.taken[key_of(run, to)] then refuse(("two tables become '%s'"):format(name)) end
  rename_table(run, from, to)
  run.asked[from] = true
end

-- The longest beginning that is a table's name: a dot may stand in names.
local function split_column(run, path)
  for dot = #path - 1, 2, -1 do
    if path:sub(dot, dot) == "." then
      local name, column = path:sub(1, dot - 1), path:sub(dot + 1)
      local t = find_table(run, run.live.tables, name)
      if not t then
        -- By its new name.
        for key, to in pairs(run.tables) do
          if fold(run, to.name) == fold(run, name) then t = run.live_by_key[key] end
        end
      end
      if t then return t, column end
    end
  end
end

local function ask_column(run, path, name)
  local t, from = split_column(run, path)
  if not t then
    refuse(("%s is neither a table nor a table's column of the database%s; write e.g. [\"users.name\"] = \"full_name\"")
      :format(errors.quote(path), suggest.hint(path, table_names(run.live.tables))))
  end
  local now, was_columns = successor(run, t), columns_of(run, t)
  if not was_columns[fold(run, from)] then
    refuse(("table '%s' has no column %s%s"):format(t.name, errors.quote(from),
      suggest.hint(from, column_names(t))))
  end
  if not now then refuse(("table '%s' is no entity's any more"):format(t.name)) end
  local columns = columns_of(run, now)
  local to = columns[fold(run, name)]
  if not to then
    refuse(("column '%s.%s' becomes %s, which no property has%s"):format(t.name, from, errors.quote(name),
      suggest.hint(name, column_names(now))))
  end
  if fold(run, from) == fold(run, name) then refuse(("column '%s.%s' is called so already"):format(t.name, from)) end
  for _, other in pairs(run.columns[key_of(run, t)] or {}) do
    if other == to.name then refuse(("two columns of '%s' become '%s'"):format(t.name, name)) end
  end
  rename_column(run, t, from, to.name)
  run.asked[was_columns[fold(run, from)]] = true
end

-- Tables that are known by their entities are renamed before columns are asked for.
local function ask(run, asked, find_tables)
  local paths = {}
  for path, name in pairs(asked) do
    if type(path) ~= "string" or type(name) ~= "string" then
      refuse("names stand in it, { users = \"people\", [\"users.name\"] = \"full_name\" }")
    end
    paths[#paths + 1] = path
  end
  table.sort(paths)
  local columns = {}
  for _, path in ipairs(paths) do
    local t = find_table(run, run.live.tables, path)
    if t then ask_table(run, t, asked[path]) else columns[#columns + 1] = path end
  end
  find_tables(run)
  for _, path in ipairs(columns) do ask_column(run, path, asked[path]) end
end

-- Known by entity and property -------------------------------------------------------------------------------------

-- Whether a name is given up: nobody has it from now on, or somebody who is new or comes from elsewhere.
local function is_given_up(heir, field, live)
  return not heir or heir[field] ~= nil and live[heir[field]] ~= false
end

local function find_tables(run)
  local wanted, live = by_identity(run.wanted.tables, "entity"), by_identity(run.live.tables, "entity")
  for entity, from in pairs(live) do
    local to = from and wanted[entity]
    if to and key_of(run, to) ~= key_of(run, from) and not run.tables[key_of(run, from)]
      and not run.taken[key_of(run, to)]
      and is_given_up(run.wanted_by_key[key_of(run, from)], "entity", live) then
      rename_table(run, from, to)
    end
  end
end

local function find_columns(run, t, now)
  local columns, wanted = columns_of(run, now), by_identity(now.columns, "property")
  local taken = {}
  for _, name in pairs(run.columns[key_of(run, t)] or {}) do taken[name] = true end
  local live = by_identity(t.columns, "property")
  for property, from in pairs(live) do
    local to = from and wanted[property]
    if to and fold(run, to.name) ~= fold(run, from.name) and not taken[to.name]
      and not (run.columns[key_of(run, t)] or {})[fold(run, from.name)]
      and is_given_up(columns[fold(run, from.name)], "property", live) then
      rename_column(run, t, from.name, to.name)
    end
  end
end

-- Names that are taken -----------------------------------------------------------------------------------------------

-- Takes back what would be called as somebody who keeps the name. `renamed` is by key; `key(to)`, `live[key]` and
-- `taken_by(from, there)`, which may refuse.
local function settle(renamed, key, live, taken_by)
  local again
  repeat
    again = false
    for from, to in pairs(renamed) do
      local there = live[key(to)]
      if there and not renamed[key(to)] then
        taken_by(live[from], there)
        renamed[from], again = nil, true
      end
    end
  until not again
end

-- What is there goes, and its values would be taken for those of what comes.
local function refuse_heir(what, from, there)
  errors.raise("migration", ("%s '%s' becomes '%s', and what is called so now goes: make two changes of it, first the "
    .. "one that drops, then the one that renames"):format(what, from, there))
end

local function settle_tables(run)
  local wanted = by_identity(run.wanted.tables, "entity")
  settle(run.tables, function(to) return key_of(run, to) end, run.live_by_key, function(from, there)
    if run.asked[from] then
      refuse(("table '%s' cannot become '%s', which is there already"):format(from.name, there.name))
    elseif there.entity and wanted[there.entity] == nil then
      refuse_heir("table", from.name, there.name)
    end
  end)
end

local function settle_columns(run, t, now)
  local wanted = by_identity(now.columns, "property")
  local renamed = run.columns[key_of(run, t)]
  if not renamed then return end
  settle(renamed, function(to) return fold(run, to) end, columns_of(run, t), function(from, there)
    if run.asked[from] then
      refuse(("column '%s.%s' cannot become '%s', which is there already"):format(t.name, from.name, there.name))
    elseif there.property and wanted[there.property] == nil then
      refuse_heir("column", t.name .. "." .. from.name, there.name)
    end
  end)
  if not next(renamed) then run.columns[key_of(run, t)] = nil end
end

---Which names change from one model to another: `tables` by the live table's key (`model.key`), each with the wanted
---table, `columns` by that key and the column's name, each with the new name. Raises `migration` for a name in `asked`
---that matches nothing.
---@param live table model
---@param wanted table model
---@param asked table|nil { users = "people", ["users.name"] = "full_name" }
---@return table { tables, columns }
function renames.of(live, wanted, asked)
  local driver = wanted.driver
  local run = { driver = driver, live = live, wanted = wanted, tables = {}, columns = {}, taken = {}, asked = {},
    live_by_key = model.by_key(live.tables, driver), wanted_by_key = model.by_key(wanted.tables, driver) }
  ask(run, asked or {}, function()
    find_tables(run)
    settle_tables(run)
  end)
  for _, t in ipairs(live.tables) do
    local now = successor(run, t)
    if now then
      find_columns(run, t, now)
      settle_columns(run, t, now)
    end
  end
  followers.find(setmetatable({
    fold = function(name) return fold(run, name) end,
    successor = function(t) return successor(run, t) end,
    columns_of = function(t) return columns_of(run, t) end,
    is_renamed = function(t, name) return (run.columns[key_of(run, t)] or {})[fold(run, name)] ~= nil end,
    rename = function(t, from, to) rename_column(run, t, from, to) end,
  }, { __index = run }))
  return { tables = run.tables, columns = run.columns }
end

return renames
