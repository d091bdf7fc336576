--- The file of an entity, as a person would write it.
local output = require("heddle.cli.output")
local properties = require("heddle.generate.properties")
local source = require("heddle.generate.source")

local text = {}

local function index_part(part)
  if part.expression then
    local made = { "expression = " .. source.sql(part.expression) }
    if part.desc then made[2] = "desc = true" end
    if part.nulls then made[#made + 1] = "nulls = " .. source.quoted(part.nulls) end
    return "{ " .. table.concat(made, ", ") .. " }"
  end
  return source.quoted(part.name .. (part.desc and " desc" or "") .. (part.nulls and " nulls " .. part.nulls or ""))
end

local function index_text(index)
  local parts, to = {}, source.options()
  for i, part in ipairs(index.parts) do parts[i] = index_part(part) end
  to:add("name", index.name)
  if index.unique then to:add("unique", true) end
  to:add("method", index.method)
  if index.include then to[#to + 1] = "include = { " .. source.list(index.include) .. " }" end
  to:add_sql("where", index.where)
  for _, option in ipairs(to) do parts[#parts + 1] = option end
  return source.wrapped("    { ", parts, " }", "      ")
end

local function named(content, name)
  return "    { " .. content .. (name and ", name = " .. source.quoted(name) or "") .. " }"
end

local function unique_text(unique)
  return named(source.list(unique.names), unique.name)
end

local function check_text(check)
  return named(source.sql(check.expression), check.name)
end

local function add_list(lines, option, items, write)
  if #items == 0 then return end
  lines[#lines + 1] = "  " .. option .. " = {"
  for _, item in ipairs(items) do lines[#lines + 1] = write(item) .. "," end
  lines[#lines + 1] = "  },"
end

local function head(entity, env)
  local t, to = entity.table, source.options()
  to:add("name", entity.name)
  if env.naming.table(entity.name) ~= t.name or entity.view then to:add("table", t.name) end
  to:add("schema", t.schema)
  to:add("comment", t.comment)
  return source.wrapped("  ", to, ",", "  ")
end

-- A name that a `local` can have.
local function variable(entity)
  return entity.name:find("^[%a_][%w_]*$") and entity.name or "Entity"
end

---The text of an entity's file.
---@param entity table of plan.entities, with what constraints.place has put there
---@param env table { driver, naming }
---@return string
function text.entity(entity, env)
  local name, width = variable(entity), 0
  local lines = { 'local orm = require "heddle"', "" }
  if name == entity.name then lines[#lines + 1] = "---@class " .. name end
  lines[#lines + 1] = ("local %s = orm.entity {"):format(name)
  lines[#lines + 1] = head(entity, env)
  for _, property in ipairs(entity.properties) do width = math.max(width, output.width(property.name)) end
  for _, property in ipairs(entity.properties) do
    local begun = "  { " .. source.quoted(property.name) .. "," .. (" "):rep(width - output.width(property.name) + 1)
    lines[#lines + 1] = source.wrapped(begun, properties.options(entity, property, env), " },", "    ")
  end
  add_list(lines, "uniques", entity.uniques, unique_text)
  add_list(lines, "indexes", entity.indexes, index_text)
  add_list(lines, "checks", entity.checks, check_text)
  if entity.expression then lines[#lines + 1] = "  expression = " .. source.sql(entity.expression) .. "," end
  lines[#lines + 1] = "}"
  lines[#lines + 1] = ""
  lines[#lines + 1] = "return " .. name
  return table.concat(lines, "\n") .. "\n"
end

return text
