--- `instance.schema`: the tables of a context's entities, made, changed, compared and dropped.
local apply = require("heddle.schema.apply")
local compat = require("heddle.compat")
local differ = require("heddle.schema.differ")
local options = require("heddle.options")
local raw_sql = require("heddle.raw_sql")
local sql = require("heddle.schema.sql")

local pcall = compat.pcall

local Schema = { __name = "heddle.schema" }
Schema.__index = Schema

-- Making and dropping everything -------------------------------------------------------------------------------

---The statements that create the tables.
---
---Usage: `print(table.concat(orm.instance().schema:create_sql(), ";\n"))`
---@return string[]
function Schema:create_sql()
  return sql.create(self.context.mappings.list, self.context.driver_name)
end

---The statements that drop them.
---@return string[]
function Schema:drop_sql()
  return sql.drop(self.context.mappings.list, self.context.driver_name)
end

-- `fn(item, link)` over a link of its own.
local function with_link(self, fn)
  local item = self.context
  local link = item:link()
  local ok, result = pcall(fn, item, link)
  link:close()
  if not ok then error(result, 0) end
  return result
end

-- All or nothing: both databases roll DDL back.
local function run(self, statements)
  with_link(self, function(item, link)
    link:begin(item.driver_name == "sqlite" and "BEGIN IMMEDIATE" or "BEGIN")
    local ok, err = pcall(function()
      for _, text in ipairs(statements) do raw_sql.statement(item, link, text) end
      item:finish(link, link:commit())
    end)
    if not ok then
      item:finish(link, link:rollback())
      error(err, 0)
    end
  end)
end

---Creates the tables of every entity of the context, all or none. Raises what the database says.
---
---Usage: `orm.instance():connect().schema:create()`
function Schema:create()
  run(self, self:create_sql())
end

---Drops them, with their rows.
function Schema:drop()
  run(self, self:drop_sql())
end

-- What differs -------------------------------------------------------------------------------------------------

local rules = {
  safe = options.boolean, drop_tables = options.boolean, rename = options.table,
}

-- The list, and beside its items what safe mode left out and what looks like a rename.
local function annotated(texts, changes)
  return setmetatable(texts, { __index = { left_out = changes.left_out, hints = changes.hints } })
end

local function texts_of(item, link, steps, changes)
  local texts = {}
  for _, step in ipairs(steps) do
    for _, text in ipairs(differ.texts(item, link, step)) do texts[#texts + 1] = text end
  end
  return annotated(texts, changes)
end

---The statements that make the database what the entities say; an empty list when it is up to date. Nothing is
---dropped unless `safe = false`; what was left out for that reason, and what may be a rename, stands as sentences in
---the list's fields `left_out` and `hints`. Raises `migration` for what cannot be done, `metadata` for SQL in an entity
---that the database refuses, `unknown_property` for an unknown option.
---
---Usage: `assert(#orm.instance().schema:diff() == 0)`
---@param opts table|nil { safe = true, rename = { users = "people", ["people.name"] = "full_name" },
---  drop_tables = true }
---@return string[]
function Schema:diff(opts)
  opts = options.given(opts, rules, "schema:diff", self.context.name)
  return with_link(self, function(item, link)
    local steps, changes = differ.update(item, link, opts)
    return texts_of(item, link, steps, changes)
  end)
end

---What `update` would run; the same as `diff`.
---@param opts table|nil
---@return string[]
function Schema:update_sql(opts)
  return self:diff(opts)
end

---Makes the database what the entities say, in one transaction, and gives the statements that were run, as `diff`
---does. Raises `migration` where that cannot be done without losing something; then nothing has changed.
---
---Usage: `orm.instance().schema:update { rename = { ["users.name"] = "full_name" } }`
---@param opts table|nil as for `diff`
---@return string[]
function Schema:update(opts)
  opts = options.given(opts, rules, "schema:update", self.context.name)
  return with_link(self, function(item, link)
    local steps, changes = differ.update(item, link, opts)
    -- Nobody waits for a lock where there is nothing to do.
    if #steps == 0 then return annotated({}, changes) end
    return apply.within(item, link, function()
      steps, changes = differ.update(item, link, opts)
      local texts = annotated({}, changes)
      for _, step in ipairs(steps) do
        -- A table is made anew as it stands when its turn has come.
        for _, text in ipairs(differ.texts(item, link, step)) do texts[#texts + 1] = text end
        apply.step(item, link, step)
      end
      return texts
    end)
  end)
end

---The entities, their properties and relations as a drawing. Raises `validation` for an unknown format.
---
---Usage: `io.open("schema.svg", "w"):write(orm.instance().schema:diagram("svg"))`
---@param format "mermaid"|"dot"|"svg"|nil default "mermaid"
---@return string
function Schema:diagram(format)
  return require("heddle.diagram").draw(self.context, format or "mermaid")
end

return Schema
