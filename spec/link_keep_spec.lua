-- A connection that is kept because its session is changed, and what becomes of the change.
local compat = require("heddle.compat")
local databases = require("spec.support.databases")
local orm = require("heddle")

local change = {
  sqlite = { set = "PRAGMA foreign_keys = OFF", read = "PRAGMA foreign_keys", restore = "PRAGMA foreign_keys = ON",
    key = "foreign_keys", changed = 0, usual = 1 },
  postgres = { set = "SET lock_timeout = 4711", read = "SHOW lock_timeout", restore = "RESET lock_timeout",
    key = "lock_timeout", changed = "4711ms", usual = "0" },
}

databases.each(function(db)
  describe("a kept connection", function()
    local instance, say

    before_each(function()
      instance = orm.init(db:config({ entities = {}, pool = { max = 1 } }))
      say = change[db.name]
    end)

    after_each(function()
      instance:close()
      db:close()
    end)

    local function read(link)
      return instance:run_sql(link, say.read, compat.pack())[1][say.key]
    end

    it("keeps what was set in its session, through transactions too, until it is given back", function()
      local link = instance:link()
      link:keep(say.restore)
      instance:run_sql(link, say.set, compat.pack())
      link:begin("BEGIN")
      assert.equal(say.changed, read(link))
      instance:finish(link, link:commit())
      assert.equal(say.changed, read(link))
      assert.equal(1, instance:pool_stats().in_use)
      instance:run_sql(link, say.restore, compat.pack())
      link:keep(nil)
      assert.equal(0, instance:pool_stats().in_use)
      assert.equal(say.usual, read(link))
      link:close()
    end)

    it("is never met as it was left", function()
      local link = instance:link()
      link:keep(say.restore)
      instance:run_sql(link, say.set, compat.pack())
      link:begin("BEGIN")
      assert.equal(say.changed, read(link))
      link:close()
      local other = instance:link()
      assert.equal(say.usual, read(other))
      other:close()
    end)
  end)
end)
