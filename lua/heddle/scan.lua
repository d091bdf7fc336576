--- The dirty scan: a function generated for each mapping that walks the managed rows of a shelf and compares every raw
--- property with its snapshot. It finds candidates; what really differs as a database value the core decides.
local compat = require("heddle.compat")
local core = require("heddle.core")
local embedded = require("heddle.embedded")
local state = require("heddle.state")

local scan = {}

local HEAD = [[
local same, is_other, columns, owner, place, prefetch, next = ...
%sreturn function(instances, blocks, overlay, count, found, limit, new, removed, may_guess)
  local has_overlay = next(overlay) ~= nil
  local slot, block, size, n = 1, 1, 4, #found
  local guesses, taken = 0, 0
  while slot <= count and n < limit do
    local last = slot + size - 1
    if last > count then last = count end
    local s = blocks[block]
    if s and taken < guesses then
      taken = taken + 1
      for i = slot, last do
        if instances[i] and not new[i] and not removed[i] then
          n = n + 1
          found[n] = i
        end
      end
    elseif s then
      local before, base = n, 0
      prefetch(instances, slot, last)
      %s
      taken, guesses = 0, may_guess and size == 256 and n - before > 224 and guesses < 8 and guesses * 2 + 1 or 0
    end
    slot, block = last + 1, block + 1
    if size < 256 then size = size * 2 end
  end
end
]]

-- Most shelves have no overlay, and then nobody looks for one.
local LOOPS = [[
if has_overlay then
        %s
      else
        %s
      end]]

local LOOP = [[
for i = slot, last do
        local e = instances[i]
        if e and (%s) and not new[i] and not removed[i] then
          n = n + 1
          found[n] = i
        end
        base = base + %d
      end]]

local function same(value, image)
  if value == nil or image == nil then return value == image end
  return core.same_image(value, image)
end

local function term(column, value)
  if column.converts then return (" or is_other(columns[%d], %s, s[base + %d])"):format(column.index, value,
    column.index) end
  local pattern = state.is_mutable(column) and " or not same(%s, s[base + %d])" or " or %s ~= s[base + %d]"
  return pattern:format(value, column.index)
end

-- An embedded value has a function of its own. A table that is not the instance's own is a candidate whatever is in it:
-- the flush adopts it.
local VALUE = [[
local function %s(v, e, s, base)
  local there = %s
  if v == nil then return there end
  if type(v) ~= "table" or owner[v] ~= e or place[v] ~= %q then return true end
  return %s%s
end
]]

local function value_function(functions, node)
  local terms, absent = {}, {}
  for _, member in ipairs(node.members) do
    local column = member.column
    if column then
      terms[#terms + 1] = term(column, ("v[%q]"):format(member.name))
      absent[#absent + 1] = ("s[base + %d] ~= nil"):format(column.index)
    elseif member.members and not column then
      local name = value_function(functions, member)
      terms[#terms + 1] = (" or %s(v[%q], e, s, base)"):format(name, member.name)
      absent[#absent + 1] = name .. "(nil, e, s, base)"
    end
  end
  local name = "value" .. #functions
  functions[#functions + 1] = VALUE:format(name, absent[1] and table.concat(absent, " or ") or "false", node.path,
    node.prop.nullable and "not there" or "false", table.concat(terms))
  return name
end

-- A document, or a list: one column.
local DOCUMENT = [[
local function %s(v, e, s, base)
  return v ~= nil and (type(v) ~= "table" or owner[v] ~= e or place[v] ~= %q)
    or is_other(columns[%d], v, s[base + %d])
end
]]

local function document_function(functions, node)
  local name, index = "value" .. #functions, node.column.index
  functions[#functions + 1] = DOCUMENT:format(name, node.path, index, index)
  return name
end

local function generate(map)
  local terms, functions = {}, {}
  for _, column in ipairs(map.columns) do
    -- Versions are the database's to change.
    if column.view.raw and not column.version and not column.at then
      terms[#terms + 1] = term(column, ("e[%q]"):format(column.property))
    end
  end
  for _, view in ipairs(map.embedded) do
    local node = view.embedded
    local name = view.raw and (node.column and document_function or value_function)(functions, node)
    if name then terms[#terms + 1] = (" or %s(e[%q], e, s, base)"):format(name, view.name) end
  end
  local differs, width = table.concat(terms), #map.columns
  local loops = LOOPS:format(LOOP:format("overlay[i]" .. differs, width), LOOP:format("false" .. differs, width))
  local text = HEAD:format(table.concat(functions), loops)
  return assert(compat.load(text, "=heddle.scan." .. map.name))(same, state.is_other, map.columns, embedded.owner,
    embedded.place, core.prefetch, next)
end

---With `may_guess`, what stands behind rows that nearly all were candidates is taken for candidates unseen, some blocks
---at a time: whoever changes one column of everything has it compared once.
---@param map table
---@return fun(instances, blocks, overlay, count, found, limit, new, removed, may_guess)
function scan.of(map)
  local made = map.dirty_scan
  if not made then
    made = generate(map)
    map.dirty_scan = made
  end
  return made
end

return scan
