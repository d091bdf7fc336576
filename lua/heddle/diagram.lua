--- Entity-relationship diagrams of a schema model: Mermaid, DOT, and SVG that needs no further tools.
local errors = require("heddle.errors")
local graph = require("heddle.diagram.graph")
local model = require("heddle.schema.model")
local suggest = require("heddle.suggest")

local diagram = {}

---What diagrams can be written in.
diagram.formats = { "mermaid", "dot", "svg" }

local writers = {}
for _, name in ipairs(diagram.formats) do writers[name] = "heddle.diagram." .. name end

---A diagram of a schema model. Raises `validation` for an unknown format.
---
---Usage: `diagram.text(model.of(orm.instance()), "dot")`
---@param made table a schema model, of entities or of a database
---@param format "mermaid"|"dot"|"svg"
---@return string
function diagram.text(made, format)
  if not writers[format] then
    errors.raise("validation", ("a diagram is written in one of 'mermaid', 'dot', 'svg'; got %s%s"):format(
      errors.quote(format), suggest.hint(format, diagram.formats)))
  end
  return require(writers[format])(graph.of(made))
end

---The diagram of a context's entities. Raises `validation` for an unknown format.
---
---Usage: `io.open("schema.svg", "w"):write(orm.instance().schema:diagram("svg"))`
---@param context table
---@param format "mermaid"|"dot"|"svg"
---@return string
function diagram.draw(context, format)
  return diagram.text(model.of(context), format)
end

return diagram
