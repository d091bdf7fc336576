--- `orm.factory` as programs see it: a function that makes factories, with `auto` beside it.
local auto = require("heddle.seeding.auto")
local factory = require("heddle.seeding.factory")

local seeding = {}

seeding.factory = setmetatable({
  auto = function(entity, more, opts) return auto.new(entity, more, opts) end,
}, {
  __call = function(_, ...) return factory.new(...) end,
})

return seeding
