--- Text inside of XML.
local xml = {}

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

---@param text string
---@return string
function xml.escape(text)
  -- Control characters have no place in XML at all.
  return (text:gsub("[%z\1-\8\11\12\14-\31]", "?"):gsub("[&<>\"']", escapes))
end

---How many characters a text has.
---@param text string UTF-8
---@return integer
function xml.length(text)
  local _, count = text:gsub("[^\128-\191]", "")
  return count
end

return xml
