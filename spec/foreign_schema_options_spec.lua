-- What entities say of schemas that others made: names of constraints, keys without AUTOINCREMENT, virtual columns.

local databases = require "spec.support.databases"
local orm = require "heddle"

local function refused(definition, message)
    local ok, err = pcall(orm.entity, definition)
    assert.is_false(ok)
    assert.equal("metadata", err.kind)
    assert.truthy(err.message:find(message, 1, true), err.message)
end

databases.each(function(db)
    local is_postgres = db.name == "postgres"

    after_each(function()
        orm.close()
        db:close()
    end)

    local function open()
        local Team = orm.entity { name = "Team",
            { "id", type = "integer", primary = true, autoincrement = "rowid" },
            { "state", type = "enum", enum = { "on", "off", name = "state_words" }, default = "on" },
            { "double", type = "integer", generated = "id * 2", virtual = true, nullable = true },
            { "tags", many_to_many = "Tag", foreign_key = "fk_team", inverse_foreign_key = "fk_tag",
                index = "tag_of_team", deferrable = false },
            { "labels", many_to_many = "Tag", pivot_table = "labels", index = false } }
        local Tag = orm.entity { name = "Tag", { "id", type = "integer", primary = true, autoincrement = "rowid" },
            { "team", many_to_one = "Team", default_sql = "1", foreign_key = "tag_team_fkey", index = false } }
        local instance = orm.init(db:config { entities = { Team, Tag } })
        instance.schema:create()
        return instance, Team, Tag
    end

    it("M1: names of constraints are those that are given, and a diff is empty", function()
        local instance = open()
        local sql = table.concat(instance.schema:create_sql(), "\n")
        for _, wanted in ipairs { 'CONSTRAINT "state_words" CHECK', 'CONSTRAINT "fk_team" FOREIGN KEY',
            'CONSTRAINT "fk_tag" FOREIGN KEY', 'CREATE INDEX "tag_of_team" ON "team_tags" ("tag_id")',
            'CONSTRAINT "tag_team_fkey" FOREIGN KEY' } do
            assert.truthy(sql:find(wanted, 1, true), wanted)
        end
        assert.is_nil(sql:find('ON "labels"', 1, true))
        assert.is_nil(sql:find('ON "tag" ', 1, true))
        assert.equal("", table.concat(instance.schema:diff { safe = false }, "\n"))
        if is_postgres then
            assert.equal("1", db:raw():value [[select count(*) from pg_constraint
                where conname in ('fk_team', 'fk_tag', 'tag_team_fkey') and condeferrable]])
        end
    end)

    it("the database makes keys without AUTOINCREMENT, one by one and many at once", function()
        local instance, Team, Tag = open()
        local em = instance.em:fork()
        local team = em:create(Team, {})
        em:persist_and_flush(team)
        assert.equal(1, team.id)
        assert.equal(2, team.double)
        for _ = 1, 20 do em:persist(em:create(Tag, { team = team })) end
        em:flush()
        assert.equal("20", db:raw():value "select count(*) from tag")
        assert.equal("20", db:raw():value "select max(id) from tag")
        if not is_postgres then
            assert.is_nil(db:raw():value("select sql from sqlite_master where name = 'tag'"):find "AUTOINCREMENT")
            assert.truthy(db:raw():value("select sql from sqlite_master where name = 'team'"):find " VIRTUAL")
        end
    end)

    it("a foreign key's column may have a default of the database", function()
        local instance, Team, Tag = open()
        local em = instance.em:fork()
        em:persist_and_flush(em:create(Team, {}))
        local tag = em:persist_and_flush(em:create(Tag, {}))
        assert.equal(1, tag.team.id)
        assert.equal("1", db:raw():value "select team_id from tag")
    end)

    it("an error of the database names the property behind a constraint with a name of its own", function()
        local instance, _, Tag = open()
        local em = instance.em:fork()
        local ok, err = pcall(em.insert, em, Tag, { team = 77 })
        assert.is_false(ok)
        assert.equal("foreign_key_violation", err.kind)
        if is_postgres then assert.equal("team", err.property) end
    end)
end)

describe("options of schemas that others made", function()
    it("are refused where they mean nothing", function()
        refused({ name = "X", { "id", type = "integer", primary = true, autoincrement = "always" } },
            "option 'autoincrement' must be a boolean or 'rowid'")
        refused({ name = "X", { "id", type = "integer", primary = true }, { "a", type = "text", virtual = true } },
            "option 'virtual' says how a 'generated' column is kept")
        refused({ name = "X", { "id", type = "integer", primary = true }, { "a", enum = { "x", name = "" } } },
            "option 'enum' must be a list whose 'name'")
        refused({ name = "X", { "id", type = "integer", primary = true }, { "a", enum = { "x", other = "y" } } },
            "option 'enum' must be a list")
        refused({ name = "X", { "id", type = "integer", primary = true },
            { "a", one_to_one = "Y", mapped_by = "x", foreign_key = "f" } },
            "option 'foreign_key' belongs to the owning side")
    end)

    it("are said by embedded values, too, and cannot differ within one table", function()
        local Box = orm.embeddable { name = "Box", { "kind", enum = { "a", "b", name = "box_kinds" } },
            { "n", type = "integer", generated = "id + 1", virtual = true } }
        local One = orm.entity { name = "One", { "id", type = "integer", primary = true }, { "box", embedded = Box } }
        local instance = orm.init { driver = "sqlite", database = ":memory:", entities = { One } }
        local sql = instance.schema:create_sql()[1]
        orm.close()
        assert.truthy(sql:find('CONSTRAINT "box_kinds" CHECK ("box_kind" IN', 1, true), sql)
        assert.truthy(sql:find(" VIRTUAL", 1, true), sql)
        local Base = orm.entity { name = "Base", discriminator_column = "type",
            { "id", type = "integer", primary = true }, { "up", many_to_one = "Base", nullable = true } }
        refused({ name = "More", extends = Base, { "up", many_to_one = "Base", nullable = true, foreign_key = "x" } },
            "foreign_key")
    end)

    it("a default is for one column", function()
        local Pair = orm.entity { name = "Pair", { "a", type = "integer", primary = true },
            { "b", type = "integer", primary = true } }
        local One = orm.entity { name = "One", { "id", type = "integer", primary = true },
            { "pair", many_to_one = "Pair", default_sql = "1" } }
        local ok, err = pcall(orm.init, { driver = "sqlite", database = ":memory:", entities = { Pair, One } })
        assert.is_false(ok)
        assert.equal("metadata", err.kind)
    end)
end)
