--- The options that a query takes. An unknown one is refused: an option that is silently not there is a wrong
--- answer.
local errors = require("heddle.errors")
local filter_names = require("heddle.named_filters.names")
local options = require("heddle.options")
local resolve = require("heddle.resolve")
local suggest = require("heddle.suggest")

local find_options = {}

local function set(text)
  local names = {}
  for name in text:gmatch("%S+") do names[name] = true end
  return names
end

find_options.known = set([[populate fields exclude order_by limit offset strategy lock filters flush_mode managed
  connection refresh first last before after count group_by having distinct timeout all]])

-- What members of a relation have no use for.
local never_members = set("group_by having")

local flush_modes = { auto = true, commit = true, always = true }
local connections = { read = true, write = true }
local strategies = { select_in = true, joined = true }
local flags = set("managed refresh distinct all count")

-- What one kind of query has and others have not.
local only_page, never_page = set("first last before after count"), set("limit offset distinct group_by having")

---Raises `unknown_property` for an option that does not exist, `validation` for a flag that is none.
---@param mapping table
---@param opts table
---@param kind? "page"|"members" of find_by_cursor, of members of a relation
function find_options.check(mapping, opts, kind)
  if type(opts) ~= "table" or getmetatable(opts) ~= nil then
    return errors.raise("validation", "the options of a query on " .. mapping.name .. " are a table, not a "
      .. type(opts), resolve.fields(mapping))
  end
  for name, value in pairs(opts) do
    if not find_options.known[name] then
      return errors.raise("unknown_property", errors.quote(name) .. " is not an option of a query on " .. mapping.name
        .. suggest.hint(name, find_options.known), resolve.fields(mapping))
    end
    if (kind == "page" and never_page or kind ~= "page" and only_page)[name] then
      return errors.raise("validation", ("option '%s' goes %s find_by_cursor: query on %s"):format(name,
        kind == "page" and "not with" or "with", mapping.name), resolve.fields(mapping))
    end
    if kind == "members" and never_members[name] then
      return errors.raise("validation", ("option '%s' goes not with members of a relation: query on %s"):format(name,
        mapping.name), resolve.fields(mapping))
    end
    if name == "filters" then filter_names.check(mapping, value) end
    if name == "flush_mode" and not flush_modes[value] then
      return errors.raise("validation", "option 'flush_mode' of a query on " .. mapping.name .. " is \"auto\", "
        .. "\"commit\" or \"always\"", resolve.fields(mapping))
    end
    if name == "connection" and not connections[value] then
      return errors.raise("validation", "option 'connection' of a query on " .. mapping.name .. " is \"read\" or "
        .. "\"write\"", resolve.fields(mapping))
    end
    if name == "timeout" and options.duration(value) then
      return errors.raise("validation", ("option 'timeout' of a query on %s must be %s; got %s"):format(mapping.name,
        options.duration(value), options.describe(value)), resolve.fields(mapping))
    end
    if name == "strategy" and not strategies[value] then
      return errors.raise("validation", "option 'strategy' of a query on " .. mapping.name .. " is \"select_in\" or "
        .. "\"joined\"", resolve.fields(mapping))
    end
    if flags[name] and type(value) ~= "boolean" then
      return errors.raise("validation", "option '" .. name .. "' of a query on " .. mapping.name
        .. " is true or false, not a " .. type(value), resolve.fields(mapping))
    end
  end
end

local passed_on = { "connection", "timeout", "filters" }

---What every statement of one query shares, those that populate sends included.
---@param opts table|nil of the query
---@param into? table options of one of its statements
---@return table|nil into
function find_options.shared(opts, into)
  if opts == nil then return into end
  for _, name in ipairs(passed_on) do
    if opts[name] ~= nil then
      into = into or {}
      into[name] = opts[name]
    end
  end
  return into
end

return find_options
