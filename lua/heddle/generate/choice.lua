--- Which tables are meant: names, with or without their schema, `*` for any letters.
local choice = {}

local function pattern(text)
  return "^" .. text:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
end

local function matches(t, list)
  for _, text in ipairs(list) do
    local wanted = pattern(text)
    if t.name:find(wanted) or ((t.schema or "") .. "." .. t.name):find(wanted) then return true end
  end
  return false
end

---Usage: `choice.takes(t, { tables = { "film*" }, exclude = { "film_text" } })`
---@param t table a table or view of a schema model
---@param opts table `tables` (nil: all), `exclude`
---@return boolean
function choice.takes(t, opts)
  if opts.tables and not matches(t, opts.tables) then return false end
  return not (opts.exclude and matches(t, opts.exclude))
end

return choice
