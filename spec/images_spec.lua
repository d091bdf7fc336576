--- Images of mutable values: what a value is hashed to directly is what the text that is made of it is hashed to.

local orm = require "heddle"
local core = require "heddle.core"

local seed = 7

local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local SCALARS = { 0, 1, -1, 255, 0.5, -0.0, 1e15, 2 ^ 53, 2 ^ 60, 1e300, "", "a", "exactly8", "longer than eight", "ü",
  true, false, orm.null, "1", "true" }

local make

local function object(depth)
  local made = {}
  for _ = 1, random(5) - 1 do made["k" .. random(9)] = make(depth + 1) end
  return made
end

local function list(depth)
  local made = random(2) == 1 and orm.array {} or {}
  for i = 1, random(5) - 1 do made[i] = make(depth + 1) end
  return made
end

function make(depth)
  local kind = depth < 4 and random(4) or 1
  if kind == 1 then return SCALARS[random(#SCALARS)] end
  if kind == 2 then return object(depth) end
  return list(depth)
end

describe("images", function()
  it("U2: are the same by value and by text, whatever the value", function()
    for _ = 1, 2000 do
      local value = make(0)
      local image = core.image(value)
      assert.is_true(core.same_image(value, image))
      assert.is_true(core.same_image(core.decode(core.encode(value)), image))
    end
  end)

  it("U2: tell values apart wherever they differ", function()
    for _ = 1, 2000 do
      local one, other = make(0), make(0)
      local same = core.image(one):sub(1, 16) == core.image(other):sub(1, 16)
      assert.equal(same, core.same_image(one, core.image(other)))
    end
  end)

  it("U2: of arrays whose items were set in any order are those of their items", function()
    local backwards = {}
    for i = 40, 1, -1 do backwards[i] = i % 3 end
    local forwards = {}
    for i = 1, 40 do forwards[i] = i % 3 end
    assert.is_true(core.same_image(backwards, core.image(forwards)))
    backwards[17] = 7
    assert.is_false(core.same_image(backwards, core.image(forwards)))
  end)

  it("U2: of what JSON cannot hold are those of nothing", function()
    local cyclic = {}
    cyclic.self = cyclic
    local holes = { 1, 2 }
    holes[4] = 4
    local marked = orm.array { 1 }
    marked.name = "x"
    for _, value in ipairs({ cyclic, holes, marked, { 1, name = "x" }, { [true] = 1 }, { print }, { 0 / 0 },
      { 1 / 0 }, orm.op.gt(1), { deep = orm.op.gt(1) } }) do
      for _, image in ipairs({ core.image({}), core.image({ 1, 2 }), core.image({ name = "x" }), core.image(value) }) do
        assert.is_false(core.same_image(value, image))
      end
    end
  end)
end)
