--- Shapes of statements, and the plans kept for them.
--
-- A shape is a statement without its values: an array of words (`code`), written in the order in which the SQL
-- will need them, and beside it the values (`params`) in the same order. The words, joined, are the key of
-- the plan cache: a statement that was seen before costs one walk and one look-up, SQL text is written for new
-- ones only.
local shape = {}

-- Shapes come from the program, but their number may follow its data (how many conditions are in an
-- op.any): a full cache is emptied rather than left to grow.
local LIMIT = 500

-- Request data can be nested as deep as it likes, and every interpreter and database has an end somewhere.
local MOST_LEVELS = 100

---@class heddle.Shape
---@field code (string|number)[]
---@field n integer number of words
---@field params any[]
---@field count integer number of params
---@field depth integer of conditions in conditions
---@field negations integer how many the condition that is written next stands in
---@field each boolean? lists are written out, value by value
---@field named heddle.NamedFilters? whose conditions are read too

---@param verb string first word of the code: "find", "count", "update", "delete"
---@param named? heddle.NamedFilters
---@return heddle.Shape
function shape.new(verb, named)
  return { code = { verb }, n = 1, params = {}, count = 0, negations = 0, depth = 0, named = named }
end

---Appends words.
---@param self heddle.Shape
function shape.emit(self, a, b, c)
  local code, n = self.code, self.n + 1
  code[n] = a
  if b ~= nil then
    n = n + 1
    code[n] = b
  end
  if c ~= nil then
    n = n + 1
    code[n] = c
  end
  self.n = n
end

---Appends a parameter.
---@param self heddle.Shape
---@param value any
function shape.push(self, value)
  local count = self.count + 1
  self.params[count] = value
  self.count = count
end

---Appends a condition that must not hold, which `read` writes.
---@param self heddle.Shape
---@param read fun(to: heddle.Shape, at: heddle.Place, value: any)
---@param at heddle.Place
---@param value any
function shape.negated(self, read, at, value)
  local before = self.negations
  shape.emit(self, "not")
  self.negations = before + 1
  read(self, at, value)
  self.negations = before
end

---Appends a condition that may stand in another one, which `read` writes.
---@param self heddle.Shape
---@param read fun(to: heddle.Shape, at: table, value: any)
---@param refuse fun(at: table, message: string)
---@param at table where it stands
---@param value any
function shape.nested(self, read, refuse, at, value)
  self.depth = self.depth + 1
  if self.depth > MOST_LEVELS then
    return refuse(at, "conditions are nested more than " .. MOST_LEVELS .. " levels deep")
  end
  read(self, at, value)
  self.depth = self.depth - 1
end

---Keeps what words cannot say for who makes SQL of them. The words around the number have to tell two such things
---apart.
---@param self heddle.Shape
---@param thing any
---@return integer number by which it is found in `code.refs`
function shape.refer(self, thing)
  local refs = self.code.refs or {}
  self.code.refs = refs
  refs[#refs + 1] = thing
  return #refs
end

---The plan of a shape: kept from an earlier time, or made by `build(mapping, shape, extra)`. What `build` raises
---leaves nothing behind.
---@param self heddle.Shape
---@param mapping table
---@param build fun(mapping: table, shape: heddle.Shape, extra: any): table
---@param extra any
---@return table plan
function shape.plan(self, mapping, build, extra)
  local plans = mapping.plans
  local key = table.concat(self.code, "\1")
  local shapes = plans.shapes
  local plan = shapes and shapes[key]
  if plan then return plan end
  plan = build(mapping, self, extra)
  if not shapes or plans.count >= LIMIT then
    shapes = {}
    plans.shapes, plans.count = shapes, 0
  end
  shapes[key] = plan
  plans.count = plans.count + 1
  return plan
end

return shape
