---Names and literals as SQL text, the same on both drivers.

local quote = {}

---A quoted identifier: `quote.name('a"b')` is `"a""b"`.
---@param text string
---@return string
function quote.name(text)
  return '"' .. text:gsub('"', '""') .. '"'
end

---A string literal; for DDL alone, everything else binds its values.
---@param text string
---@return string
function quote.text(text)
  return "'" .. text:gsub("'", "''") .. "'"
end

---A mapping's table, with its schema where it has one; for a virtual entity what it is read from.
---@param mapping table
---@return string
function quote.table(mapping)
  if mapping.source then return mapping.source end
  local name = quote.name(mapping.table)
  return mapping.schema and quote.name(mapping.schema) .. "." .. name or name
end

---Column names as a list: `"a", "b"`.
---@param columns table[] mapping columns
---@param prefix string? put before each, such as `e0.`
---@return string
function quote.columns(columns, prefix)
  local names = {}
  for i, column in ipairs(columns) do names[i] = (prefix or "") .. quote.name(column.name) end
  return table.concat(names, ", ")
end

return quote
