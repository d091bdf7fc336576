local orm = require("heddle")
local soft_delete = require("soft_delete")

local Project = orm.entity {
  name = "Project", table = "projects", filters = soft_delete.filters,
  -- A name may be used again when its project is deleted.
  indexes = { { "name", unique = true, where = "deleted_at is null" } },
  { "id",         type = "integer", primary = true },
  { "name",       type = "string" },
  { "deleted_at", type = "timestamp", nullable = true },
  { "tasks",      one_to_many = "Task", mapped_by = "project", cascade = { "persist", "remove" } },
}

local Task = orm.entity {
  name = "Task", table = "tasks", filters = soft_delete.filters,
  { "id",         type = "integer", primary = true },
  { "title",      type = "string" },
  { "deleted_at", type = "timestamp", nullable = true },
  { "project",    many_to_one = "Project" },
  { "comments",   one_to_many = "Comment", mapped_by = "task", cascade = { "persist", "remove" } },
}

-- Comments have no deleted_at: they go for good.
local Comment = orm.entity {
  name = "Comment", table = "comments",
  { "id",   type = "integer", primary = true },
  { "text", type = "string" },
  { "task", many_to_one = "Task" },
}

return { Project, Task, Comment }
