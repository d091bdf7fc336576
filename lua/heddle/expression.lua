--- Values that are SQL and no parameter: sub-queries, references to columns. A filter takes them where it takes values.
---
--- They are known by their metatables, so that data can never be one. Each kind knows how it is read into a shape and
--- how it is written again from the words that reading left there; this room knows no kind.
local expression = {}

local by_meta, by_word = {}, {}

---Makes a kind known.
---@param meta table metatable of its values
---@param kind { word: string, name: string, read: function, sql: function } `read(to, at, value, sign)` emits words and
---gives how many columns there are; `sql(made, scope)` reads them and gives an operand
function expression.register(meta, kind)
  by_meta[meta], by_word[kind.word] = kind, kind
end

---@param value any
---@return table|nil kind
function expression.of(value)
  return type(value) == "table" and by_meta[getmetatable(value)] or nil
end

---The expression that stands next in the code.
---@param made heddle.Statement
---@param scope table of the place that it is compared with
---@return string
function expression.sql(made, scope)
  return by_word[made:next_word()].sql(made, scope)
end

return expression
