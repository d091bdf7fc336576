--- Names of named filters, and their parameters, as programs give them: `map.filter_names` is what a context has.
local errors = require("heddle.errors")
local options = require("heddle.options")
local suggest = require("heddle.suggest")

local names = {}

-- Several options in one.
local Layers = { __name = "heddle.filters" }

---What was said, one option after the other.
---@param option any an option `filters`, nil for none
---@return table[] layers { option = }
function names.layers(option)
  if option == nil then return {} end
  if getmetatable(option) == Layers then return option end
  return { { option = option } }
end

---The option of something inside a query (an entry of `populate`) together with that of the query.
---
---Usage: `filters = names.layered(opts.filters, entry.filters)`
---@param outer any
---@param inner any is louder
---@return any an option `filters` again
function names.layered(outer, inner)
  if outer == nil then return inner end
  local all = setmetatable({}, Layers)
  for _, option in ipairs({ outer, inner }) do
    for _, layer in ipairs(names.layers(option)) do all[#all + 1] = layer end
  end
  return all
end

---What an option says of a filter: true, false, parameters; nil when nothing.
---@param option table|false
---@param name string
---@return boolean|table|nil
function names.said(option, name)
  if option == false then return false end
  if option[name] ~= nil then return option[name] end
  for i = 1, #option do
    if option[i] == name then return true end
  end
  return nil
end

---What a filter takes, or `unknown_property`.
---@param known table|nil
---@param name any
---@param fields table of the error
---@param what string where it was said
---@return table
function names.about(known, name, fields, what)
  local about = type(name) == "string" and (known or {})[name]
  if about then return about end
  local shown = type(name) == "string" and errors.quote(name) or options.describe(name)
  return errors.raise("unknown_property", ("%s: %s is the name of no filter of context '%s'%s"):format(what, shown,
    tostring(fields.context), suggest.hint(name, known or {})), fields)
end

---Checks the parameters given to a filter. Raises `validation`, `unknown_property`.
---@param known table|nil
---@param name any
---@param params any
---@param fields table of the error
---@param what string where they were said
function names.check_params(known, name, params, fields, what)
  local about = names.about(known, name, fields, what)
  if type(params) ~= "table" or getmetatable(params) ~= nil then
    return errors.raise("validation", ("%s: the parameters of filter '%s' are a table by name, not %s"):format(what,
      name, options.describe(params)), fields)
  end
  if about.any then return end
  for _, param in ipairs(options.sorted_keys(params)) do
    if not about.params[param] then
      local takes_none = next(about.params) == nil
      return errors.raise("unknown_property", ("%s: %s is no parameter of filter '%s'%s"):format(what,
        errors.quote(param), name, takes_none and ", which takes no parameters" or suggest.hint(param, about.params)),
        fields)
    end
  end
end

---Checks the option `filters` of a query: `false`, a list of names, names with `true`, `false` or parameters. Raises
---`validation`, `unknown_property`.
---@param map table
---@param value any
function names.check(map, value)
  local fields, what = { context = map.context, entity = map.name }, "option 'filters' of a query on " .. map.name
  if value == false or getmetatable(value) == Layers then return end
  if type(value) ~= "table" or getmetatable(value) ~= nil then
    return errors.raise("validation", what .. " is false (none at all), or a "
      .. "table: { \"active\" }, { active = false, tenant = { id = 7 } }; not " .. options.describe(value), fields)
  end
  for _, key in ipairs(options.sorted_keys(value)) do
    local said = value[key]
    if type(key) == "number" then
      if not (key >= 1 and key <= #value and key % 1 == 0) then
        return errors.raise("validation", what .. ": the names stand in a list without holes", fields)
      end
      names.about(map.filter_names, said, fields, what)
    elseif type(said) ~= "boolean" then
      names.check_params(map.filter_names, key, said, fields, what)
    else
      names.about(map.filter_names, key, fields, what)
    end
  end
end

return names
