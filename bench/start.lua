--- What a process pays before its first line of work: prints the milliseconds of `require "heddle"`, fifty definitions
--- and `init`. Run by bench/figures.lua, each time in a new process.

local clock = require "bench.clock"

local ENTITIES = 50

local function define(orm, i)
  return orm.entity {
    name = "Author" .. i, table = "authors" .. i,
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "email", type = "string" },
    { "age", type = "integer" },
    { "rating", type = "double" },
    { "created_at", type = "timestamp" },
  }
end

local seconds = clock.measure(function()
  local orm, entities = require "heddle", {}
  for i = 1, ENTITIES do entities[i] = define(orm, i) end
  orm.init { driver = "sqlite", database = ":memory:", entities = entities }
end)

print(("%.3f"):format(seconds * 1e3))
