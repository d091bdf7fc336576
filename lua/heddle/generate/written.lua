--- SQL of a SQLite schema as its author wrote it. The schema model has every text in one form, in which texts compare
--- but nobody writes.
local tokens = require("heddle.schema.sqlite.tokens")

local written = {}

-- The place in a statement where a text in its one form stands.
local function find(sql, form)
  local list, wanted = tokens.of(sql), tokens.of(form)
  if not list or not wanted or #wanted == 0 then return form end
  for first = 1, #list - #wanted + 1 do
    local last = first + #wanted - 1
    if tokens.text(list, first, last) == form then return sql:sub(list[first].first, list[last].last) end
  end
  return form
end

---Puts texts as they were written into a model that introspection gave.
---@param model table
function written.restore(model)
  if model.driver ~= "sqlite" then return end
  for _, t in ipairs(model.tables) do
    for _, column in ipairs(t.columns) do
      column.default = column.default and find(t.sql, column.default)
      column.generated = column.generated and find(t.sql, column.generated)
    end
    for _, check in ipairs(t.checks) do check.expression = find(t.sql, check.expression) end
    for _, index in ipairs(t.indexes) do
      index.where = index.where and find(index.sql, index.where)
      for _, part in ipairs(index.parts) do
        part.expression = part.expression and find(index.sql, part.expression)
      end
    end
  end
  for _, view in ipairs(model.views) do view.sql = view.source or view.sql end
end

return written
