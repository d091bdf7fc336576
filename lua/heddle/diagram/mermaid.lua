--- A diagram as Mermaid's `erDiagram`, which GitHub, GitLab and many editors draw.

-- Its words for names and types are letters, digits, `-`, `_`, brackets and parentheses, a letter first.
local function word(text)
  text = text:gsub(",%s*", "-"):gsub("[^%w_%-%(%)%[%]]", "_")
  if text == "" then return "any" end
  return text:find("^[%a_]") and text or "_" .. text
end

-- Quotes cannot be written inside of quotes.
local function quoted(text)
  return '"' .. text:gsub('"', "'"):gsub("%s+", " ") .. '"'
end

local function remark(row, name)
  local parts = {}
  if name ~= row.name then parts[1] = row.name end
  if row.nullable then parts[#parts + 1] = "nullable" end
  if row.comment then parts[#parts + 1] = row.comment end
  return #parts > 0 and " " .. quoted(table.concat(parts, "; ")) or ""
end

local function add_box(lines, box)
  lines[#lines + 1] = "  " .. quoted(box.name) .. " {"
  for _, row in ipairs(box.rows) do
    local name = word(row.name)
    local keys = #row.keys > 0 and " " .. table.concat(row.keys, ", ") or ""
    lines[#lines + 1] = "    " .. word(row.type) .. " " .. name .. keys .. remark(row, name)
  end
  lines[#lines + 1] = "  }"
end

---@param graph table
---@return string
return function(graph)
  local lines = { "erDiagram" }
  for _, box in ipairs(graph.boxes) do add_box(lines, box) end
  for _, edge in ipairs(graph.edges) do
    lines[#lines + 1] = ("  %s %s--%s %s : %s"):format(quoted(edge.to.name), edge.optional and "|o" or "||",
      edge.many and "o{" or "o|", quoted(edge.from.name), quoted(edge.label))
  end
  return table.concat(lines, "\n") .. "\n"
end
