--- The hostile schema of the random unit of work, as entities and, for the model, as plain descriptions.
---
--- Teams and persons need each other (two NOT NULL foreign keys in a ring); locks and keys too, and their foreign keys
--- cannot be deferred. A task has a place in its team's list (UNIQUE over both, and a CHECK) and a place in a tree of
--- tasks; a badge belongs to one person (NOT NULL, one_to_one); persons have skills in an order; seats have a key of
--- two columns.
---
---     local schema = require("spec.model.schema")
---     unit.open(db, schema.entities)
---     schema.kinds.Task.refs.team.to            --> "Team"

local orm = require("heddle")

local schema = { entities = {}, class = {} }

local function entity(definition)
  local made = orm.entity(definition)
  schema.entities[#schema.entities + 1] = made
  schema.class[definition.name] = made
end

entity {
  name = "Team", table = "teams",
  { "id", type = "integer", primary = true },
  { "name", type = "string", length = 40, unique = true },
  { "version", type = "integer", version = true },
  { "leader", many_to_one = "Person" },
  { "members", one_to_many = "Person", mapped_by = "team" },
  { "tasks", one_to_many = "Task", mapped_by = "team" },
}
entity {
  name = "Person", table = "persons",
  { "id", type = "integer", primary = true },
  { "name", type = "string", length = 40 },
  { "team", many_to_one = "Team" },
  { "badge", one_to_one = "Badge", mapped_by = "person" },
  { "skills", many_to_many = "Skill", fixed_order = true, inversed_by = "people", pivot_table = "persons_skills",
    join_column = "person_id", inverse_join_column = "skill_name" },
}
entity {
  name = "Badge", table = "badges",
  { "id", type = "integer", primary = true },
  { "code", type = "integer", unique = true },
  { "person", one_to_one = "Person" },
}
entity {
  name = "Task", table = "tasks",
  { "id", type = "integer", primary = true },
  { "position", type = "integer", check = "position >= 1" },
  { "version", type = "integer", version = true },
  { "team", many_to_one = "Team" },
  { "parent", many_to_one = "Task", nullable = true },
  { "children", one_to_many = "Task", mapped_by = "parent" },
  uniques = { { "team", "position" } },
}
entity {
  name = "Skill", table = "skills",
  { "name", type = "string", length = 40, primary = true },
  { "level", type = "integer" },
  { "people", many_to_many = "Person", mapped_by = "skills" },
}
entity {
  name = "Seat", table = "seats",
  { "hall", type = "string", length = 5, primary = true },
  { "number", type = "integer", primary = true },
  { "code", type = "integer", unique = true },
  { "price", type = "integer", default_sql = "7" },
  { "note", type = "string", nullable = true },
  { "version", type = "integer", version = true },
  { "guest", many_to_one = "Person", nullable = true },
}
entity {
  name = "Lock", table = "locks",
  { "id", type = "integer", primary = true },
  { "label", type = "string" },
  { "key", many_to_one = "Key", deferrable = false },
}
entity {
  name = "Key", table = "keys",
  { "id", type = "integer", primary = true },
  { "label", type = "string" },
  { "lock", many_to_one = "Lock", deferrable = false },
}

-- What the model knows of them: `given`: the program gives the key; `filled`: what the database gives to a column that
-- is left out; `refs`: relations with a foreign key, and which property of the target is their other side; `lists`:
-- owning sides of pivots.
schema.kinds = {
  Team = {
    scalars = { "name" }, version = true, uniques = { { "name" } }, key = { "id" },
    refs = { leader = { to = "Person", required = true } },
  },
  Person = {
    scalars = { "name" }, uniques = {}, key = { "id" },
    refs = { team = { to = "Team", required = true, inverse = "members" } },
    lists = { skills = { to = "Skill", inverse = "people" } },
  },
  Badge = {
    scalars = { "code" }, uniques = { { "code" }, { "person" } }, key = { "id" },
    refs = { person = { to = "Person", required = true, inverse = "badge", single = true } },
  },
  Task = {
    scalars = { "position" }, version = true, uniques = { { "team", "position" } }, key = { "id" },
    refs = {
      team = { to = "Team", required = true, inverse = "tasks" },
      parent = { to = "Task", inverse = "children" },
    },
    check = function(values) return values.position >= 1 end,
  },
  Skill = {
    scalars = { "level" }, uniques = {}, key = { "name" }, given = true, refs = {},
  },
  Seat = {
    scalars = { "code", "price", "note" }, version = true, uniques = { { "code" } }, key = { "hall", "number" },
    given = true, filled = { price = 7 }, refs = { guest = { to = "Person" } },
  },
  Lock = { scalars = { "label" }, uniques = {}, key = { "id" }, refs = { key = { to = "Key", required = true } } },
  Key = { scalars = { "label" }, uniques = {}, key = { "id" }, refs = { lock = { to = "Lock", required = true } } },
}

schema.names = { "Team", "Person", "Badge", "Task", "Skill", "Seat", "Lock", "Key" }

-- Columns of each table as the check reads them, in this order; "-" stands for NULL.
schema.columns = {
  Team = { "id", "name", "version", "leader_id" },
  Person = { "id", "name", "team_id" },
  Badge = { "id", "code", "person_id" },
  Task = { "id", "position", "version", "team_id", "parent_id" },
  Skill = { "name", "level" },
  Seat = { "hall", "number", "code", "price", "note", "version", "guest_id" },
  Lock = { "id", "label", "key_id" },
  Key = { "id", "label", "lock_id" },
}
schema.tables = {
  Team = "teams", Person = "persons", Badge = "badges", Task = "tasks", Skill = "skills", Seat = "seats",
  Lock = "locks", Key = "keys",
}
schema.pivot = "persons_skills"

return schema
