-- m:create_table and m:add_column: one file for both databases.
local databases = require("spec.support.databases")
local orm = require("heddle")
local unit = require("spec.support.unit")

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

databases.each(function(db)
  describe("a migration describes tables as entities do:", function()
    local instance, raw, directory

    before_each(function()
      directory = os.tmpname()
      os.remove(directory)
      assert(require("lfs").mkdir(directory))
      instance = orm.init(db:config({ entities = {}, migrations = { path = directory } }))
      raw = db:raw()
    end)

    after_each(function()
      instance:close()
      db:close()
      for name in require("lfs").dir(directory) do os.remove(directory .. "/" .. name) end
      os.remove(directory)
    end)

    local function migration(number, up)
      write(("%s/2026010100000%d_step.lua"):format(directory, number), "return { up = function(m)\n" .. up .. "\nend }")
    end

    local function refused(up, kind, message)
      migration(1, up)
      local err = unit.raises("migration", instance.migrator.up, instance.migrator)
      local cause = err.cause or err
      assert.equal(kind, cause.kind)
      assert.matches(message, cause.message, 1, true)
    end

    it("columns, keys, indexes, foreign keys", function()
      migration(1, [[
        m:create_table("teams", {
          { "id", type = "integer", primary = true }, { "name", type = "string", unique = true } })
        m:create_table("users", {
          { "id", type = "integer", primary = true },
          { "fullName", type = "string", length = 40, default = "it's" },
          { "team_id", type = "integer", nullable = true, references = "teams", on_delete = "cascade" },
          { "level", type = "enum", enum = { "low", "high" }, nullable = true },
          indexes = { { "fullName desc", where = "team_id is not null" } }, checks = { "id > 0" },
        })]])
      migration(2, [[
        m:add_column("users", { "age", type = "integer", default = 7 })
        m:add_column("users", { "note", type = "text", nullable = true, comment = "what else" })]])
      assert.same({ "20260101000001_step", "20260101000002_step" }, instance.migrator:up())
      raw:exec("insert into teams (name) values ('a')")
      raw:exec("insert into users (team_id, level) values (1, 'low')")
      assert.same({ { "1", "it's", "7" } }, raw:rows([[select id, "fullName", age from users]]))
      assert.has_error(function() raw:exec("insert into users (level) values ('middle')") end)
      assert.has_error(function() raw:exec("insert into teams (name) values ('a')") end)
      if db.name == "sqlite" then raw:exec("pragma foreign_keys = on") end
      raw:exec("delete from teams")
      assert.same({}, raw:rows("select id from users"))
    end)

    it("what is no column is refused, and nothing is left", function()
      local key = [[{ "id", type = "integer", primary = true }]]
      refused([[m:create_table("t", { ]] .. key .. [[, { "x", type = "strin" } })]],
        "metadata", "did you mean 'string'")
      refused([[m:create_table("t", { { "id", primary = true } })]], "validation", "column 'id' has no 'type'")
      refused([[m:create_table("t", { "id" })]], "validation", "a column is written")
      refused([[m:create_table("t", { { "id", type = "integer", on_delete = "cascade" } })]],
        "validation", "'on_delete'")
      refused([[m:create_table("t", { ]] .. key .. [[, extends = "x" })]], "validation", "extends")
      refused([[m:add_column("t", { "x", type = "integer", unique = true })]],
        "validation", "'unique' is no part of it")
      refused([[m:create_table("t", { ]] .. key .. [[, { "y", type = "integer", references = 5 } })]], "validation",
        "'references'")
      assert.equal("pending", instance.migrator:status()[1].state)
    end)
  end)
end)
