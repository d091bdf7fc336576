--- What a builder's methods are given: whether it has the right form. What names mean is not known yet.
local class = require("heddle.class")
local fn = require("heddle.query.fn")
local null = require("heddle.null")
local op = require("heddle.op")
local suggest = require("heddle.suggest")

local given = {}

-- PostgreSQL cuts longer names off.
local LONGEST = 63

---What a value is, for messages.
---@param value any
---@return string
function given.describe(value)
  if value == nil then return "nil" end
  if value == null then return "orm.null" end
  if op.is_operator(value) then return tostring(value) end
  if value == "" then return "an empty string" end
  return "a " .. type(value) .. (type(value) == "string" and value:find("%c") and " with a control character" or "")
end

---Whether a value is an entity.
---@param value any
---@return boolean
function given.is_entity(value)
  return type(value) == "table" and class.definition_of(value) ~= nil
end

---A name that SQL can have for a source. Those that Heddle gives itself are taken.
---@param alias any
---@param check fun(message: string, kind?: string)
---@param is_root boolean|nil
---@return string|nil
function given.alias(alias, check, is_root)
  if alias == nil or is_root and alias == "e0" then return alias end
  if type(alias) ~= "string" or #alias > LONGEST or not alias:find("^[%a_][%w_]*$") then
    return check("an alias is a name of letters, digits and _ of at most " .. LONGEST .. " characters, not "
      .. (type(alias) == "string" and "this one" or given.describe(alias)))
  elseif alias:find("^[eE]%d+$") or alias:find("^[hH][dD]_") then
    return check("'" .. alias .. "' is an alias that Heddle gives itself: choose another one")
  end
  return alias
end

---@param cond any
---@param check fun(message: string, kind?: string)
---@return any
function given.condition(cond, check)
  local kind = type(cond)
  if cond == nil or cond == null then return check("nil is no condition: is a variable nil?") end
  if kind == "function" or kind == "boolean" then
    return check("takes a condition, not " .. given.describe(cond))
  end
  return cond
end

---A condition, and the alias that it speaks of.
---@param check fun(message: string, kind?: string)
---@return table { condition, alias = }
function given.aliased(check, ...)
  local count, first, second = select("#", ...), ...
  if count <= 1 then return { given.condition(first, check) } end
  if count > 2 or type(first) ~= "string" then
    return check("takes a condition, or an alias and a condition: where(\"b\", { title = \"x\" })")
  end
  return { given.condition(second, check), alias = given.alias(first, check, true) }
end

local function is_name(value)
  return type(value) == "string" and value ~= "" and not value:find("%c")
end

-- Calls `each(value, name)` for arguments, and for what is in those that are tables: first what they list, then what
-- they name.
local function each_item(check, each, ...)
  for i = 1, select("#", ...) do
    local item = select(i, ...)
    if type(item) ~= "table" or getmetatable(item) ~= nil then
      each(item, nil)
    else
      local names, n = {}, 0
      for key in pairs(item) do
        n = n + 1
        if type(key) == "string" then names[#names + 1] = key end
      end
      if n ~= #item + #names then return check("takes a list without holes") end
      table.sort(names)
      for k = 1, #item do each(item[k], nil) end
      for _, name in ipairs(names) do each(item[name], name) end
    end
  end
end

---Items of a selection.
---@param list table[] to which they are added
---@param check fun(message: string, kind?: string)
---@param is_query fun(value: any): boolean
function given.items(list, check, is_query, ...)
  if select("#", ...) == 0 then return check("takes names of properties and expressions") end
  each_item(check, function(value, name)
    if name then given.alias(name, check) end
    if not (is_name(value) or op.is_raw(value) or fn.is(value) or is_query(value)) then
      return check("an item is a name, orm.raw, a function of orm.fn or a sub-query, not " .. given.describe(value))
    end
    list[#list + 1] = { value, name }
  end, ...)
end

---Names of properties, or orm.raw.
---@param list any[] to which they are added
---@param check fun(message: string, kind?: string)
function given.names(list, check, ...)
  each_item(check, function(value, name)
    if name or not (is_name(value) or op.is_raw(value)) then
      return check("takes a list of names, or orm.raw, not " .. (name and "names with values" or given.describe(value)))
    end
    list[#list + 1] = value
  end, ...)
end

---Terms of an order.
---@param list any[] to which they are added
---@param check fun(message: string, kind?: string)
function given.terms(list, check, ...)
  local function add(value, name)
    if name then
      if type(value) ~= "string" then return check("a term is a string or { name = \"desc\" }") end
      value = name .. " " .. value
    elseif type(value) == "table" and getmetatable(value) == nil then
      local key = next(value)
      if type(key) ~= "string" or next(value, key) ~= nil then
        return check("a term is a string or { name = \"desc\" }")
      end
      return add(value[key], key)
    end
    if not (is_name(value) or op.is_raw(value)) then
      return check("a term is a string, { name = \"desc\" } or orm.raw, not " .. given.describe(value))
    end
    list[#list + 1] = value
  end
  local first = ...
  if type(first) == "table" and getmetatable(first) == nil and first[1] == nil then
    local key = next(first)
    if key ~= nil and next(first, key) ~= nil then
      return check("a table with several names has no order: write a list, { \"a\", \"b desc\" }")
    end
  end
  each_item(check, add, ...)
end

---A number of rows.
---@return integer|nil
function given.count(count, check)
  if count == nil then return nil end
  if type(count) ~= "number" or count < 0 or count >= 2 ^ 53 or count % 1 ~= 0 then
    return check("takes a whole number from 0 on, not " .. (type(count) == "number" and "that one"
      or given.describe(count)))
  end
  return count
end

local taken = { connection = true, filters = true, flush_mode = true, managed = true, refresh = true, timeout = true,
  all = true }

---Options: whether they are known; their values are looked at by who takes them.
function given.options(into, opts, check)
  if type(opts) ~= "table" or getmetatable(opts) ~= nil then
    return check("takes a table of options, not " .. given.describe(opts))
  end
  for name, value in pairs(opts) do
    if not taken[name] then
      return check((type(name) == "string" and "'" .. name:sub(1, 60):gsub("%c", "?") .. "'" or "a " .. type(name))
        .. " is no option of a query" .. suggest.hint(name, taken), "unknown_property")
    end
    into[name] = value
  end
end

local conflict_rules = { action = true, merge = true, exclude = true, where = true }

---What `on_conflict` was given, in the words of em:upsert's options.
---@return table
function given.conflict(value, more, check)
  if type(value) == "string" then value = { value } end
  if type(value) ~= "table" or getmetatable(value) ~= nil then
    return check("takes a list of names and options, not " .. given.describe(value))
  end
  if more ~= nil then
    if type(more) ~= "table" or getmetatable(more) ~= nil or more[1] ~= nil then
      return check("takes its names first and its options second, { action = \"ignore\" }, not "
        .. given.describe(more))
    end
    local both = {}
    for name, item in pairs(value) do both[name] = item end
    for name, item in pairs(more) do both[name] = item end
    value = both
  end
  local opts = {}
  for name, item in pairs(value) do
    if type(name) == "string" then
      if not conflict_rules[name] then
        return check("'" .. name:sub(1, 60):gsub("%c", "?") .. "' is no option here" .. suggest.hint(name,
          conflict_rules), "unknown_property")
      end
      opts[name == "merge" and "on_conflict_merge_fields" or name == "exclude" and "on_conflict_exclude_fields"
        or "on_conflict_" .. name] = item
    end
  end
  if value[1] ~= nil then
    opts.on_conflict_fields = {}
    for i, name in ipairs(value) do opts.on_conflict_fields[i] = name end
  elseif value.action ~= "ignore" then
    return check("names the properties of a unique key, { \"email\" }; only action = \"ignore\" goes without")
  end
  return opts
end

return given
