--- Columns of embedded properties: one for each member, under a prefix, or one json column.
---
--- A view of kind "embedded" has `embedded`, the root of a tree of *nodes*: { name, path, prop, at } and either
--- `members` and `by_name`, or `column`. `at` are the keys that lead to the value from the root's. Members of a json
--- object have a column that is none: `json` says where in which column their values are.
local class_of = require("heddle.class")
local codec = require("heddle.embedded.codec")
local custom = require("heddle.custom")
local quote = require("heddle.quote")

local embedded = {}

local inherited = {
  "type", "length", "precision", "scale", "enum", "as", "array_of", "custom", "cast",
}

-- What only a column of its own can have.
local column_only = { "unique", "index_option", "check", "generated", "default_sql" }

local function extended(list, item)
  local made = {}
  for i, each in ipairs(list) do made[i] = each end
  made[#made + 1] = item
  return made
end

local function new_node(parent, prop)
  return {
    name = prop.name, prop = prop, path = parent and parent.path .. "." .. prop.name or prop.name,
    at = parent and extended(parent.at, prop.name) or {},
  }
end

local function new_column(build, node)
  local prop = node.prop
  local column = {
    property = node.path, view = build.view, prop = prop, at = node.at, primary = false, version = false,
    nullable = prop.nullable or build.optional, optional = build.optional, hidden = build.view.prop.hidden or false,
    lazy = build.view.prop.lazy or false, raw = false, autoincrement = false, comment = prop.comment,
    entity = build.map.name,
  }
  for _, field in ipairs(inherited) do column[field] = prop[field] end
  column.converts = custom.converts(prop.custom)
  return column
end

-- An expression speaks of the embeddable's own columns, by the names that they have without a prefix.
local function renamed(text, names)
  local made, at = {}, 1
  while at <= #text do
    local quoted = text:match('^"([^"]+)"', at)
    local word = text:match("^[%a_\128-\255][%w_\128-\255]*", at)
    local piece = text:match("^'[^']*'", at) or text:match('^"[^"]*"', at) or word or text:match("^%d[%w_.]*", at)
      or text:sub(at, at)
    at = at + #piece
    local is_call = word and text:match("^%s*%(", at)
    local name = names[quoted or word and not is_call and word]
    made[#made + 1] = name and quote.name(name) or piece
  end
  return table.concat(made)
end

local build_members, add_object

local function check_options(build, member, prop)
  for _, option in ipairs(column_only) do
    if prop[option] then
      build.context.fail(build.map, member.path, ("option '%s' needs a column, and this is a member of a json object")
        :format(option == "index_option" and "index" or option))
    end
  end
end

local function add_json_members(build, node, json)
  node.members, node.by_name = {}, {}
  for _, prop in ipairs(class_of.definition_of(node.prop.target).properties) do
    local member = new_node(node, prop)
    if build.context then check_options(build, member, prop) end
    node.members[#node.members + 1], node.by_name[prop.name] = member, member
    build.nodes[member.path] = member
    if prop.persist ~= false then
      local inner = { column = json.column, keys = extended(json.keys, prop.column or prop.name) }
      if prop.kind == "embedded" then
        member.column = { type = "json", property = member.path, view = build.view, nullable = true, json = inner }
        add_object(build, member, inner)
      else
        member.column = new_column(build, member)
        member.column.nullable, member.column.json = true, inner
      end
    end
  end
end

function add_object(build, node, json)
  node.json = json
  if not node.prop.array then add_json_members(build, node, json) end
end

---The node of an item of a list, made when it is first asked for.
---Its members are read from a column `value`, and stand in its own `nodes`.
---@param map table
---@param node table of the list
---@return table node
function embedded.item(map, node)
  if node.item then return node.item end
  local view = node.column.view
  local item = { name = node.name, path = node.path, prop = node.prop, at = {}, nodes = {} }
  local element = { name = "value", type = "json", property = node.path, view = view, entity = map.name }
  item.column = element
  add_json_members({ map = map, view = view, nodes = item.nodes, optional = true }, item,
    { column = element, keys = {} })
  node.item = item
  return item
end

local function add_leaf(build, node, prefix)
  local prop, naming = node.prop, build.context.naming
  local column = new_column(build, node)
  local own = prop.column or naming.column(prop.name)
  column.name = prefix .. own
  column.unique, column.default_sql = prop.unique and true or false, prop.default_sql
  column.generated, column.virtual, column.check = prop.generated, prop.virtual, prop.check
  column.enum_name = prop.enum_name
  node.column = column
  build.columns[#build.columns + 1] = column
end

local function prefix_of(build, prop)
  if prop.prefix == false then return "" end
  if type(prop.prefix) == "string" then return prop.prefix end
  return build.context.naming.column(prop.name) .. "_"
end

local function add_json(build, node, prefix)
  local prop = node.prop
  local column = new_column(build, node)
  column.name = prefix .. (prop.column or build.context.naming.column(prop.name))
  column.type, column.custom, column.converts = "json", codec.of(prop), true
  node.column = column
  build.columns[#build.columns + 1] = column
  add_object(build, node, { column = column, keys = {} })
end

-- The expressions of the members, once all columns below a value are known.
local function rename(build, first, prefix)
  local names = {}
  for i = first, #build.columns do
    local name = build.columns[i].name
    names[name:sub(#prefix + 1)] = name
  end
  for i = first, #build.columns do
    local column = build.columns[i]
    if not build.renamed[column] then
      build.renamed[column] = true
      column.generated = column.generated and renamed(column.generated, names)
      column.check = column.check and renamed(column.check, names)
    end
  end
end

function build_members(build, node, prefix)
  local first, optional = #build.columns + 1, build.optional
  build.optional = optional or node.prop.nullable or false
  node.members, node.by_name = {}, {}
  for _, prop in ipairs(class_of.definition_of(node.prop.target).properties) do
    local member = new_node(node, prop)
    node.members[#node.members + 1], node.by_name[prop.name] = member, member
    build.map.nodes[member.path] = member
    if prop.kind == "embedded" and (prop.object or prop.array) then
      add_json(build, member, prefix)
    elseif prop.kind == "embedded" then
      build_members(build, member, prefix .. prefix_of(build, prop))
    elseif prop.persist ~= false then
      add_leaf(build, member, prefix)
    end
  end
  build.optional = optional
  rename(build, first, prefix)
end

---The columns of an embedded view; sets `embedded`, and of one in a json column `column`.
---@param context table as mapping.build makes it
---@param map table
---@param view table
---@return table[] columns
function embedded.columns(context, map, view)
  local build = { context = context, map = map, view = view, columns = {}, renamed = {}, optional = false,
    nodes = map.nodes }
  local node = new_node(nil, view.prop)
  view.embedded, map.nodes[node.path] = node, node
  if view.prop.object or view.prop.array then
    add_json(build, node, "")
    view.column = node.column
  else
    build_members(build, node, prefix_of(build, view.prop))
    if #build.columns == 0 then context.fail(map, view.name, "its embeddable has no member that is stored") end
  end
  map.embedded[#map.embedded + 1] = view
  return build.columns
end

return embedded
