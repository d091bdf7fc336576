--- Embedded values in the data of an UPDATE by filter: columns to set, or a json column whose members change.
local codec = require("heddle.embedded.codec")
local custom = require("heddle.custom")
local embedded = require("heddle.embedded")
local null = require("heddle.null")
local op = require("heddle.op")
local quote = require("heddle.quote")
local resolve = require("heddle.resolve")
local shape = require("heddle.shape")

local embedded_data = {}

local JSON = { type = "json" }

local function refuse(mapping, node, message)
  return resolve.refuse("validation", mapping, node.path, "data", message)
end

-- Whether a value stands for all members; raises for what is no value.
local function is_whole(mapping, node, value)
  if op.is_operator(value) then refuse(mapping, node, "an expression is one value: give it to a member") end
  local at = { entity = mapping.name, path = node.path }
  if node.prop.array then
    embedded.check_list(value, at)
    return true
  end
  embedded.check_table(embedded.of(node.prop), value, at)
  return getmetatable(value) ~= nil
end

-- The value that data makes, with its defaults.
local function given(mapping, node, value)
  return embedded.given(node.prop, value, { entity = mapping.name, path = node.path })
end

local function check_null(mapping, node)
  if not node.prop.nullable then refuse(mapping, node, "cannot be NULL: it is not nullable") end
end

-- Calls `each(member, value)` for what a value says of its members.
local function each_member(mapping, node, value, each)
  local whole = is_whole(mapping, node, value)
  for name in pairs(value) do resolve.member(mapping, { embedded = node }, name, "data") end
  for _, member in ipairs(node.members) do
    local item = rawget(value, member.name)
    if item == nil and whole then item = null end
    local column = member.column
    local is_stored = member.prop.persist ~= false and not (column and column.generated)
    if item ~= nil and not (item == null and whole and not is_stored) then
      if not is_stored then
        refuse(mapping, member, column and "the database generates this value" or "this member is not stored")
      end
      if item == null then check_null(mapping, member) end
      each(member, item)
    end
  end
end

local function set_null(items, node)
  for _, column in ipairs(resolve.node_columns(node)) do
    if not column.generated then items[#items + 1] = { name = column.property, value = null } end
  end
end

local function fill_patch(patch, mapping, node, value)
  each_member(mapping, node, value, function(member, item)
    if member.members and item ~= null then return fill_patch(patch, mapping, member, item) end
    patch[#patch + 1] = { node = member, value = item }
  end)
end

local function expand(items, mapping, node, value)
  if value == null then
    check_null(mapping, node)
    return set_null(items, node)
  end
  if node.column then
    if is_whole(mapping, node, value) then
      items[#items + 1] = { name = node.path, value = given(mapping, node, value) }
    else
      local patch = {}
      fill_patch(patch, mapping, node, value)
      items[#items + 1] = { name = node.path, patch = patch }
    end
    return
  end
  each_member(mapping, node, value, function(member, item)
    if member.prop.kind == "embedded" then return expand(items, mapping, member, item) end
    items[#items + 1] = { name = member.path, value = item }
  end)
end

---What data says of an embedded property, as items { name, value } of single columns, or { name, patch }.
---@param items table[] to which they are added
---@param mapping table
---@param view table
---@param value any
function embedded_data.expand(items, mapping, view, value)
  return expand(items, mapping, view.embedded, value)
end

-- A json column ---------------------------------------------------------------------------------------------------

local function stored(mapping, item)
  local member = item.node
  local at = { entity = mapping.name, path = member.path }
  if member.prop.kind == "embedded" then
    return codec.of(member.prop).to_db(given(mapping, member, item.value), { entity = at.entity, property = at.path })
  end
  if op.is_operator(item.value) then
    refuse(mapping, member, "an expression sets a column, and this is a member of one")
  end
  local value, why = codec.stored(member.column, custom.to_db(member.column, item.value))
  if value == nil then embedded.refuse("validation", at, nil, why) end
  return value
end

---Writes a patch: `patch name count` and for each member its path and "value" or "null".
---@param to heddle.Shape
---@param mapping table
---@param item table
function embedded_data.read_patch(to, mapping, item)
  shape.emit(to, "patch", item.name, #item.patch)
  for _, each in ipairs(item.patch) do
    shape.emit(to, each.node.path, each.value == null and "null" or "value")
    if each.value ~= null then shape.push(to, stored(mapping, each)) end
  end
end

-- { set = { { key, sql } }, removed = { key }, inner = { { key, tree } } }
local function add_to_tree(tree, keys, sql)
  for i = 1, #keys - 1 do
    local inner = tree.by_key[keys[i]]
    if not inner then
      inner = { set = {}, removed = {}, inner = {}, by_key = {} }
      tree.by_key[keys[i]] = inner
      tree.inner[#tree.inner + 1] = { keys[i], inner }
    end
    tree = inner
  end
  if sql then tree.set[#tree.set + 1] = { keys[#keys], sql } else tree.removed[#tree.removed + 1] = keys[#keys] end
end

local dialect = {
  postgres = {
    value = function(placeholder) return placeholder .. "::jsonb" end,
    inner = function(base, key) return "(" .. base .. "->" .. quote.text(key) .. ")" end,
    object = function(base, removed, set)
      local text = "coalesce(" .. base .. ", '{}'::jsonb)"
      for _, key in ipairs(removed) do text = text .. " - " .. quote.text(key) end
      local parts = {}
      for i, item in ipairs(set) do parts[i] = quote.text(item[1]) .. ", " .. item[2] end
      return "((" .. text .. ") || jsonb_build_object(" .. table.concat(parts, ", ") .. "))"
    end,
  },
}

local function path(key) return quote.text('$."' .. key:gsub('"', '\\"') .. '"') end

dialect.sqlite = {
  value = function(placeholder) return "json(" .. placeholder .. ")" end,
  inner = function(base, key) return "json_extract(" .. base .. ", " .. path(key) .. ")" end,
  object = function(base, removed, set)
    local text = "coalesce(" .. base .. ", '{}')"
    local parts = {}
    for i, key in ipairs(removed) do parts[i] = path(key) end
    if #parts > 0 then text = "json_remove(" .. text .. ", " .. table.concat(parts, ", ") .. ")" end
    parts = {}
    for i, item in ipairs(set) do parts[i] = path(item[1]) .. ", " .. item[2] end
    return #parts > 0 and "json_set(" .. text .. ", " .. table.concat(parts, ", ") .. ")" or text
  end,
}

local function object_sql(words, base, tree)
  local set = {}
  for i, item in ipairs(tree.set) do set[i] = { item[1], words.value(item[2]) } end
  for _, item in ipairs(tree.inner) do
    set[#set + 1] = { item[1], object_sql(words, words.inner(base, item[1]), item[2]) }
  end
  return words.object(base, tree.removed, set)
end

---The assignment of a patch, whose words stand next in the code.
---@param made heddle.Statement
---@param mapping table
---@param name string
---@return string
function embedded_data.patch_sql(made, mapping, name)
  local column = mapping.nodes[name].column
  local tree = { set = {}, removed = {}, inner = {}, by_key = {} }
  for _ = 1, made:next_word() do
    local member, kind = mapping.nodes[made:next_word()], made:next_word()
    add_to_tree(tree, member.column.json.keys, kind == "value" and made:placeholder(JSON) or nil)
  end
  local quoted = quote.name(column.name)
  return quoted .. " = " .. object_sql(dialect[made.driver], made.root.alias .. "." .. quoted, tree)
end

return embedded_data
