-- What a query flushes before it reads, merge between entity managers, and raw SQL; on files, servers and in memory.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local op = orm.op
local raises, sent_by = expect.raises, expect.sent_by

local Team = orm.entity {
    name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
    { "active", type = "boolean", default = true },
    { "tags", type = "json", nullable = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "team", many_to_one = Team, nullable = true },
    { "version", type = "integer", version = true },
}
local Note = orm.entity {
    name = "Note",
    { "id", type = "integer", primary = true, autoincrement = false },
    { "text", type = "text", nullable = true },
}
local entities = { Team, User, Note }

local function writes(list)
    local n = 0
    for _, sql in ipairs(list) do
        if sql:find "^INSERT" or sql:find "^UPDATE" or sql:find "^DELETE" or sql:find "^WITH" then n = n + 1 end
    end
    return n
end

-- Everything here holds for a database in memory too, whose one connection nobody else can see.
local function behaves(open, close)
    local instance, em, sent

    before_each(function()
        instance = orm.init(open())
        instance.schema:create()
        em = orm.em():fork()
        em:persist(User { name = "Ann", team = Team { name = "core" }, tags = { "a" }, active = false, password = "p" },
            User { name = "Ben" }):flush()
        em:clear()
        sent = expect.statements(instance)
    end)

    after_each(function()
        orm.close()
        close()
    end)

    local function pending()
        local ann = em:find_one(User, { name = "Ann" })
        ann.name = "Anna"
        return ann
    end

    it("auto: a query flushes when it reads an entity type with changes pending, and only then", function()
        pending()
        em:persist(Note { id = 1, text = "n" })
        assert.equal(0, writes((sent_by(sent, function() return em:find_all(Team) end))))
        local list, found = sent_by(sent, function() return em:find(User, { name = "Anna" }) end)
        assert.equal(2, writes(list))
        assert.equal(1, #found)
        assert.equal(0, writes((sent_by(sent, function() return em:find_all(Note) end))))
        local calls = {
            function() return em:find(User, {}) end,
            function() return em:find_one(User, { name = "x" }) end,
            function() return em:find_all(User) end,
            function() return em:count(User, {}) end,
            function() return em:find_and_count(User, {}) end,
            function() return em:find(User, {}, { managed = false }) end,
            function() return em:update_where(User, { id = 77 }, { name = "y" }) end,
            function() return em:delete_where(User, { id = 77 }) end,
            function() return em:find(Team, { id = 77 }) end,
        }
        for i, call in ipairs(calls) do
            local user = em:find_one(User, 1)
            user.name = "name " .. i
            local before = em:execute("select version from users where id = 1")[1].version
            sent_by(sent, call)
            local after = em:execute("select version from users where id = 1")[1].version
            assert.equal(i < #calls and before + 1 or before, after, "call " .. i)
        end
    end)

    it("auto: changes of a joined entity, new rows, removals and json inside count too", function()
        local team = em:find_one(Team, 1)
        team.name = "kernel"
        assert.equal(1, em:count(User, { team = { name = "kernel" } }))
        assert.equal(1, #em:find(User, { team = { name = "kernel" } }))
        team.name = "nucleus"
        assert.equal("Ann", em:find(User, { team = op.not_null() }, { order_by = { "team.name" } })[1].name)
        assert.equal("nucleus", em:execute("select name from team")[1].name)
        em:persist(User { name = "new" })
        assert.equal(3, em:count(User, {}))
        em:remove(em:find_one(User, 2))
        assert.equal(2, em:count(User, {}))
        local ann = em:find_one(User, 1)
        ann.tags[2] = "b"
        assert.equal(2, #em:find(User, { id = op.eq(1) }, { managed = false })[1].tags)
        assert.equal(0, writes((sent_by(sent, function() return em:find(User, {}) end))))
    end)

    it("finding by key, references, load and refresh never flush", function()
        local ann = pending()
        em:persist(Note { id = 5 })
        for _, call in ipairs {
            function() return em:find_one(User, 2) end,
            function() return em:find_one(User, 77) end,
            function() return em:find_one(User, { id = 78 }) end,
            function() return em:find_one(User, { id = 2 }, { fields = { "name" } }) end,
            function() return em:find_one_or_fail(User, "2") end,
            function() return em:get_reference(User, 9) end,
            function() return em:load(ann, { "team" }) end,
            function() return em:find_one(User, 1, { populate = { "team" } }) end,
            function() return em:refresh(em:find_one(User, 2)) end,
        } do
            assert.equal(0, writes((sent_by(sent, call))))
        end
        assert.equal("Anna", ann.name)
        assert.equal(5, em:find_one(Note, 5).id) -- what is pending is in the identity map
        assert.equal(5, em:find_one(Note, 5, { fields = { "text" } }).id)
        em:remove(ann)
        assert.is_nil(em:find_one(User, 1))
        assert.is_nil(em:find_one(User, 1, { fields = { "name" } }))
        assert.equal(0, writes(sent))
    end)

    it("commit and always exist, for an entity manager, a context and one query", function()
        local ann = pending()
        assert.equal(0, #em:find(User, { name = "Anna" }, { flush_mode = "commit" }))
        assert.equal(0, em:count(User, { name = "Anna" }, { flush_mode = "commit" }))
        local _, total = em:find_and_count(User, { name = "Anna" }, { flush_mode = "commit" })
        assert.equal(0, total)
        assert.equal(0, writes(sent))
        assert.equal("Anna", ann.name)
        local lazy, eager = em:fork { flush_mode = "commit" }, em:fork { flush_mode = "always" }
        lazy:persist(User { name = "late" })
        assert.equal(0, lazy:count(User, { name = "late" }))
        assert.equal(1, lazy:count(User, { name = "late" }, { flush_mode = "auto" }))
        eager:persist(User { name = "early" })
        assert.equal(1, eager:count(Team, {}))
        assert.equal(1, eager:execute("select count(*) as n from users where name = 'early'")[1].n)
        eager:persist(User { name = "earlier" })
        assert.equal(0, eager:delete_where(Note, { id = 1 }))
        assert.equal(1, eager:execute("select count(*) as n from users where name = 'earlier'")[1].n)
        raises("validation", function() em:fork { flush_mode = "sometimes" } end, "flush_mode")
        raises("unknown_property", function() em:fork { flushmode = "auto" } end, "'flush_mode'")
    end)

    it("refresh drops what was changed, in one query for a list", function()
        local ann, ben = em:find_one(User, 1), em:find_one(User, 2)
        ann.name, ben.name, ann.active, ann.password, ann.team = "x", "y", true, "q", nil
        ann.tags.deep = { 1 }
        local list = sent_by(sent, function()
            return em:find(User, {}, { refresh = true, flush_mode = "commit" })
        end)
        assert.is_true(#list <= 2)
        assert.equal(0, writes(list))
        assert.equal("Ann", ann.name)
        assert.equal("Ben", ben.name)
        assert.is_false(ann.active)
        assert.equal("p", ann.password)
        assert.equal(1, ann.team.id)
        assert.same({ "a" }, { ann.tags[1], ann.tags.deep })
        assert.same({}, (sent_by(sent, function() em:flush() end)))
        ann.active = true
        em:refresh(ann)
        assert.is_false(ann.active)
        assert.same({}, (sent_by(sent, function() em:flush() end)))
    end)

    it("merge gives this entity manager's own, with everything that was loaded or assigned", function()
        local other = em:fork()
        local ann = other:find_one(User, 1)
        ann.name, ann.tags[2], ann.password = "merged", "b", "new"
        ann.team = nil
        local own = em:merge(ann)
        assert.not_equal(ann, own)
        assert.equal(own, em:find_one(User, 1))
        assert.equal(own, em:merge(own))
        assert.not_equal(ann.tags, own.tags)
        em:flush()
        local row = em:execute("select name, password, team_id, active from users where id = 1")[1]
        assert.equal("merged", row.name)
        assert.equal("new", row.password)
        assert.is_nil(row.team_id)
        raises("optimistic_lock", function() em:merge(ann) end, "User")
        local part = em:fork():find_one(User, { id = 1 }, { fields = { "name" } })
        part.name = "part"
        em:merge(part)
        assert.equal("new", own.password)
        assert.equal("b", own.tags[2])
        local fresh = User { name = "fresh", team = Team { name = "new" } }
        local made = em:merge(fresh)
        em:flush()
        assert.equal("new", made.team.name)
        assert.is_true(em:contains(made))
        local boss = other:get_reference(Team, 1)
        local moved = em:merge(em:fork():find_one(User, 2))
        assert.equal("Ben", moved.name)
        other:find_one(User, 2).team = boss
        assert.equal(em:get_reference(Team, 1), em:merge(other:find_one(User, 2)).team)
        raises("validation", function() em:merge {} end, "em:merge")
        em:flush()
        assert.equal(1, em:execute("select team_id from users where id = 2")[1].team_id)
    end)

    it("execute: ? on both drivers, ?? is a literal, rows or a count", function()
        local rows = em:execute("select id, name from users where id > ? and name <> '?' order by id", 0)
        assert.same({ { id = 1, name = "Ann" }, { id = 2, name = "Ben" } }, rows)
        assert.same({}, em:execute("select id from users where id = ?", 77))
        assert.equal(2, em:execute("update users set version = version where id > ?", 0))
        assert.equal(0, em:execute("delete from users where id = ?", 77))
        assert.equal(1, em:execute("insert into note (id, text) values (?, ?)", 1, "it's"))
        assert.equal("it's", em:execute("select text from note -- a ? here\n")[1].text)
        assert.equal(1, em:execute("select count(*) as n from note where text = ?", "it's")[1].n)
        assert.same({}, em:execute("select text from note where text = ?", orm.null))
        assert.same({ {} }, em:execute "select null as gone")
        assert.equal("a?b", em:execute("select 'a?b' as v")[1].v)
        assert.equal(0, em:execute("create table made (id integer)"))
        em:execute "drop table made"
        raises("validation", function() em:execute("select ?") end, "1 placeholder", "0 values")
        raises("validation", function() em:execute("select 1", 2) end, "0 placeholders")
        raises("validation", function() em:execute(nil) end, "execute")
        raises("validation", function() em:execute("select ?", print) end)
        local err = raises("syntax", function() em:execute("selct 's3cret' || ?", "s3cret") end)
        assert.is_nil(tostring(err):find("s3cret", 1, true))
        assert.is_truthy(err.sql:find("selct", 1, true))
        raises("table_not_found", function() em:execute "select * from nowhere" end)
        assert.equal(2, em:count(User, {})) -- and the connection is as good as before
    end)
end

databases.each(function(db)
    describe("flush modes", function()
        behaves(function() return db:config { entities = entities } end, function() db:close() end)

        if db.name == "postgres" then
            it("?? is PostgreSQL's own operator", function()
                assert.is_true(orm.em():fork():execute([[select '{"a": 1}'::jsonb ?? ? as found]], "a")[1].found)
            end)
        end
    end)
end)

databases.on("sqlite", function()
    describe("flush modes in memory", function()
        behaves(function()
            return { driver = "sqlite", database = ":memory:", entities = entities }
        end, function() end)
    end)
end)
