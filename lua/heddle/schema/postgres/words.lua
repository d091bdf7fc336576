--- Whether a text of SQL may speak of something. A word that means something else costs work, never correctness.
local words = {}

local PART = "[%w_\128-\255]"

---Usage: `words.mentions("lower(name) <> ''", "name")` is true
---@param sql string
---@param name string
---@return boolean
function words.mentions(sql, name)
  local from, plain = 1, name:lower()
  -- Within quotes a quote is written twice.
  sql, plain = sql:lower(), plain:gsub('"', '""')
  while true do
    local first, last = sql:find(plain, from, true)
    if not first then return false end
    if not sql:sub(first - 1, first - 1):find(PART) and not sql:sub(last + 1, last + 1):find(PART) then return true end
    from = first + 1
  end
end

return words
