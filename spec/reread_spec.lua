-- Reading a managed entity again: what is refreshed, what stays, and when nothing is merged (I3).

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local Team = orm.entity {
    name = "Team", table = "teams",
    { "id", type = "integer", primary = true, autoincrement = false },
    { "name", type = "string" },
}

local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true, autoincrement = false },
    { "name", type = "string" },
    { "bio", type = "text", nullable = true },
    { "score", type = "decimal", precision = 8, scale = 2, nullable = true },
    { "settings", type = "json", nullable = true },
    { "labels", type = "array", array_of = "text", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "keys", type = "json", nullable = true, hidden = true },
    { "team", many_to_one = "Team", nullable = true },
}

local Document = orm.entity {
    name = "Document", table = "documents",
    { "id", type = "integer", primary = true, autoincrement = false },
    { "title", type = "string" },
    { "body", type = "text", nullable = true, lazy = true },
    { "owner", many_to_one = "User", nullable = true },
    { "version", type = "integer", version = true },
}

databases.each(function(db)
    local work, em, raw

    before_each(function()
        work = unit.open(db, { Team, User, Document })
        em, raw = work.em, work.raw
        local array = db.name == "postgres" and "'{a,b}'" or "'[\"a\",\"b\"]'"
        raw:exec "insert into teams values (1, 'red'), (2, 'blue')"
        raw:exec(([[insert into users (id, name, bio, score, settings, labels, secret, keys, team_id)
            values (1, 'Ann', 'b', '1.50', '{"a":{"b":1}}', %s, 's', '{"k":1}', 1)]]):format(array))
        raw:exec "insert into documents (id, title, body, owner_id, version) values (1, 'T', 'text', 1, 1)"
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    -- Another writer, then a find that re-reads.
    local function behind(sql)
        raw:exec(sql)
        return em:find(User, { id = 1 })[1]
    end

    it("I3: every property that was not changed is refreshed", function()
        local user = em:find_one(User, 1)
        local array = db.name == "postgres" and "'{c}'" or "'[\"c\"]'"
        assert.equal(user, behind(([[update users set name = 'Eve', bio = 'new', score = '2.00', settings = '{"z":[]}',
            labels = %s, secret = 't', keys = '{"k":2}', team_id = 2]]):format(array)))
        assert.equal("Eve", user.name)
        assert.equal("new", user.bio)
        assert.equal("2.00", user.score)
        assert.same({ z = {} }, user.settings)
        assert.same({ "c" }, user.labels)
        assert.equal("t", user.secret)
        assert.same({ k = 2 }, user.keys)
        assert.equal(em:get_reference(Team, 2), user.team)
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)

    it("I3: a NULL is read as well", function()
        local user = em:find_one(User, 1)
        behind [[update users set bio = null, score = null, settings = null, labels = null, secret = null, keys = null,
            team_id = null]]
        for _, name in ipairs { "bio", "score", "settings", "labels" } do
            assert.is_nil(rawget(user, name))
            assert.is_nil(user[name])
        end
        assert.is_nil(user.secret)
        assert.is_nil(user.keys)
        assert.is_nil(user.team)
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)

    it("I3: what was NULL comes back with a value", function()
        raw:exec "update users set bio = null, settings = null, secret = null, team_id = null"
        local user = em:find_one(User, 1)
        assert.is_nil(user.bio)
        behind [[update users set bio = 'there', settings = '[1]', secret = 'x', team_id = 2]]
        assert.equal("there", user.bio)
        assert.same({ 1 }, user.settings)
        assert.equal("x", user.secret)
        assert.equal(2, user.team.id)
    end)

    it("I3: changed properties stay, the others are refreshed, and the flush writes the changed ones only", function()
        local user = em:find_one(User, 1)
        user.name = "mine"
        user.settings.a.b = 2
        local was = user.settings
        em:find(User, { id = 1 }, { flush_mode = "commit" })
        raw:exec [[update users set name = 'theirs', bio = 'theirs', settings = '{"a":{"b":9}}']]
        em:find(User, { id = 1 }, { flush_mode = "commit" })
        assert.equal("mine", user.name)
        assert.equal("theirs", user.bio)
        assert.equal(was, user.settings)
        assert.same({ a = { b = 2 } }, user.settings)
        em:flush()
        assert.same({ { "mine", "theirs", "1.50" } }, raw:rows "select name, bio, score from users")
        assert.same({ a = { b = 2 } }, em:fork():find_one(User, 1).settings)
    end)

    it("I3: a property set to nil is changed and stays nil", function()
        local user = em:find_one(User, 1)
        user.bio, user.labels, user.secret, user.team = nil, nil, nil, nil
        raw:exec "update users set bio = 'theirs', secret = 'theirs', team_id = 2, name = 'theirs'"
        em:find(User, { id = 1 }, { flush_mode = "commit" })
        assert.is_nil(user.bio)
        assert.is_nil(user.labels)
        assert.is_nil(user.secret)
        assert.is_nil(user.team)
        assert.equal("theirs", user.name)
        em:flush()
        assert.same({ { "theirs", false, false, false, false } },
            raw:rows "select name, bio, labels, secret, team_id from users")
    end)

    it("I3: hidden values and relations that were assigned stay", function()
        local user = em:find_one(User, 1)
        user.secret, user.team = "mine", em:get_reference(Team, 2)
        user.keys.k = 7
        raw:exec "update users set secret = 'theirs', team_id = null, keys = '{}', name = 'theirs'"
        em:find(User, { id = 1 }, { flush_mode = "commit" })
        assert.equal("mine", user.secret)
        assert.equal(2, user.team.id)
        assert.same({ k = 7 }, user.keys)
        assert.equal("theirs", user.name)
        em:flush()
        assert.same({ { "mine", "2", "theirs" } }, raw:rows "select secret, team_id, name from users")
        assert.same({ k = 7 }, em:fork():find_one(User, 1).keys)
    end)

    it("I3: what was changed and changed back counts as not changed", function()
        local user = em:find_one(User, 1)
        local team = user.team
        user.name, user.score, user.team, user.secret = "x", "9.99", nil, "x"
        user.name, user.score, user.team, user.secret = "Ann", "1.5", team, "s"
        raw:exec "update users set name = 'theirs', score = '3.00', team_id = 2, secret = 'theirs'"
        em:find(User, { id = 1 }, { flush_mode = "commit" })
        assert.equal("theirs", user.name)
        assert.equal("3.00", user.score)
        assert.equal(2, user.team.id)
        assert.equal("theirs", user.secret)
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)

    it("I3: refresh and refresh = true drop what was changed", function()
        local user = em:find_one(User, 1)
        local function change()
            user.name, user.secret, user.team = "mine", "mine", nil
            user.settings.a.b, user.keys.k = 5, 5
        end
        local function check()
            assert.equal("Ann", user.name)
            assert.equal("s", user.secret)
            assert.equal(1, user.team.id)
            assert.same({ a = { b = 1 } }, user.settings)
            assert.same({ k = 1 }, user.keys)
        end
        change()
        em:refresh(user)
        check()
        change()
        em:find(User, { id = 1 }, { refresh = true, flush_mode = "commit" })
        check()
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)

    it("I3: refresh of a row that is gone is not_found", function()
        local user = em:find_one(User, 1)
        raw:exec "delete from documents"
        raw:exec "delete from users"
        local err = unit.raises("not_found", em.refresh, em, user)
        assert.equal("User", err.entity)
    end)

    it("I3: partial columns of a find refresh only themselves", function()
        local user = em:find_one(User, 1)
        raw:exec "update users set name = 'theirs', bio = 'theirs'"
        assert.equal(user, em:find(User, { id = 1 }, { fields = { "name" } })[1])
        assert.equal("theirs", user.name)
        assert.equal("b", user.bio)
        assert.is_true(orm.is_initialized(user))
    end)

    describe("with a version:", function()
        it("I3: an unchanged entity takes the new version", function()
            local doc = em:find_one(Document, 1, { exclude = {} })
            raw:exec "update documents set title = 'U', version = 2"
            em:find(Document, { id = 1 })
            assert.equal("U", doc.title)
            assert.equal(2, doc.version)
            doc.title = "V"
            em:flush()
            assert.same({ { "V", "3" } }, raw:rows "select title, version from documents")
        end)

        it("I3: a changed one is not merged, and its flush raises optimistic_lock", function()
            local doc = em:find_one(Document, 1)
            doc.title = "mine"
            raw:exec "update documents set title = 'theirs', owner_id = null, version = 2"
            em:find(Document, { id = 1 }, { flush_mode = "commit" })
            assert.equal("mine", doc.title)
            assert.equal(1, doc.version)
            assert.equal(1, doc.owner.id)
            local err = unit.raises("optimistic_lock", em.flush, em)
            assert.equal("Document", err.entity)
            assert.same({ { "theirs", "2" } }, raw:rows "select title, version from documents")
            em:refresh(doc)
            doc.title = "after"
            em:flush()
            assert.same({ { "after", "3" } }, raw:rows "select title, version from documents")
        end)

        it("I3: a changed one is not merged when all its columns are loaded either", function()
            local doc = em:find_one(Document, 1, { fields = { "title", "body", "owner" } })
            assert.is_true(orm.is_initialized(doc))
            for _, change in ipairs { function() doc.title = "mine" end, function() doc.owner = nil end } do
                em:refresh(doc)
                change()
                raw:exec "update documents set title = 'theirs', version = version + 1"
                em:find(Document, { id = 1 }, { flush_mode = "commit", fields = { "title", "body", "owner" } })
                unit.raises("optimistic_lock", em.flush, em)
            end
            em:refresh(doc)
            assert.equal("theirs", doc.title)
        end)

        it("I3: a change of relation alone keeps the version too", function()
            local doc = em:find_one(Document, 1)
            doc.owner = nil
            raw:exec "update documents set title = 'theirs', version = 2"
            em:find(Document, { id = 1 }, { flush_mode = "commit" })
            assert.equal("T", doc.title)
            unit.raises("optimistic_lock", em.flush, em)
        end)

        it("I3: changed back, it is merged", function()
            local doc = em:find_one(Document, 1)
            doc.title = "mine"
            doc.title = "T"
            raw:exec "update documents set title = 'theirs', version = 2"
            em:find(Document, { id = 1 }, { flush_mode = "commit" })
            assert.equal("theirs", doc.title)
            assert.equal(2, doc.version)
        end)

        it("I3: removed, it is not merged, and its delete raises optimistic_lock", function()
            local doc = em:find_one(Document, 1)
            em:remove(doc)
            raw:exec "update documents set title = 'theirs', version = 2"
            em:find(Document, { id = 1 }, { flush_mode = "commit" })
            assert.equal("T", doc.title)
            unit.raises("optimistic_lock", em.flush, em)
            assert.equal("1", raw:value "select count(*) from documents")
        end)
    end)
end)
