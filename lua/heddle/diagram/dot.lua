--- A diagram in the language of Graphviz: `dot -Tpdf`.
local xml = require("heddle.diagram.xml")

local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

local function row_text(row, position)
  local cell = '<td align="left"%s>%s</td>'
  return "      <tr>" .. cell:format((' port="p%d"'):format(position), xml.escape(row.name))
    .. cell:format("", table.concat(row.keys, " "))
    .. cell:format("", xml.escape(row.type) .. (row.nullable and " ?" or "")) .. "</tr>"
end

local function add_box(lines, box)
  local entity = box.entity and " <i>" .. xml.escape(box.entity) .. "</i>" or ""
  lines[#lines + 1] = "  " .. quoted(box.name) .. " [label=<"
  lines[#lines + 1] = '    <table border="0" cellborder="1" cellspacing="0" cellpadding="4">'
  lines[#lines + 1] = ('      <tr><td colspan="3" bgcolor="#dfe7f2"><b>%s</b>%s</td></tr>'):format(
    xml.escape(box.name), entity)
  for position, row in ipairs(box.rows) do lines[#lines + 1] = row_text(row, position) end
  lines[#lines + 1] = "    </table>>];"
end

---@param graph table
---@return string
return function(graph)
  local lines = {
    "digraph schema {",
    "  graph [rankdir=RL, nodesep=0.4, ranksep=1.2];",
    '  node [shape=plain, fontname="Helvetica", fontsize=11];',
    '  edge [dir=both, fontname="Helvetica", fontsize=9];',
  }
  for _, box in ipairs(graph.boxes) do add_box(lines, box) end
  for _, edge in ipairs(graph.edges) do
    lines[#lines + 1] = ("  %s:p%d -> %s:p%d [arrowtail=%s, arrowhead=%s, tooltip=%s];"):format(
      quoted(edge.from.name), edge.from_row, quoted(edge.to.name), edge.to_row, edge.many and "crowodot" or "teeodot",
      edge.optional and "teeodot" or "teetee", quoted(edge.label))
  end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end
