--- Comparisons of a place with what is SQL itself: `compare name sign` and the expression's own words.
local expression = require("heddle.expression")
local place = require("heddle.filter.place")
local shape = require("heddle.shape")

---@param to heddle.Shape
---@param at heddle.Place
---@param sign string SQL
---@param value any an expression
return function(to, at, sign, value)
  local kind = expression.of(value)
  if at.column and at.column.type == "json" and at.mapping.driver == "sqlite" then
    return place.refuse(at, "a document is compared with values only on SQLite, where it is a text", "unsupported")
  end
  shape.emit(to, "compare", at.name, sign)
  shape.emit(to, kind.word)
  local wanted, given = at.column and 1 or #at.key, kind.read(to, at, value, sign)
  if given == wanted then return end
  return place.refuse(at, ("takes %d value%s, and the %s gives %d"):format(wanted, wanted == 1 and "" or "s", kind.name,
    given))
end
