-- Partial loads, lazy properties and references: what is not loaded says so, what was assigned is written (I5).

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local op = orm.op

local Team = orm.entity {
    name = "Team", table = "teams",
    { "id", type = "integer", primary = true, autoincrement = false },
    { "name", type = "string" },
    { "motto", type = "text", nullable = true },
}

local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true, autoincrement = false },
    { "name", type = "string" },
    { "bio", type = "text", nullable = true, lazy = true },
    { "age", type = "integer", nullable = true },
    { "settings", type = "json", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "team", many_to_one = "Team", nullable = true },
}

local Document = orm.entity {
    name = "Document", table = "documents",
    { "id", type = "integer", primary = true, autoincrement = false },
    { "title", type = "string" },
    { "body", type = "text", nullable = true },
    { "version", type = "integer", version = true },
}

local Slot = orm.entity {
    name = "Slot", table = "slots",
    { "row", type = "integer", primary = true },
    { "col", type = "integer", primary = true },
    { "value", type = "string", nullable = true },
}

databases.each(function(db)
    local work, em, raw

    before_each(function()
        work = unit.open(db, { Team, User, Document, Slot })
        em, raw = work.em, work.raw
        raw:exec "insert into teams values (1, 'red', 'go'), (2, 'blue', null)"
        raw:exec [[insert into users (id, name, bio, age, settings, secret, team_id)
            values (1, 'Ann', 'b', 30, '{"a":1}', 's', 1), (2, 'Bob', null, null, null, null, null)]]
        raw:exec "insert into documents values (1, 'T', 'text', 1)"
        raw:exec "insert into slots values (1, 2, 'x')"
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    local function not_loaded(e, name)
        local err = unit.raises("not_loaded", function() return e[name] end)
        assert.equal(name, err.property)
        assert.is_truthy(err.message:find(name, 1, true))
        assert.is_truthy(err.message:find "fields" or err.message:find "find_one" or err.message:find "refresh")
        return err
    end

    local function user(id)
        return raw:rows("select name, bio, age, secret, team_id from users where id = " .. id)[1]
    end

    it("I5: fields: what was named is there, the rest raises not_loaded", function()
        local e = em:find(User, { id = 1 }, { fields = { "name" } })[1]
        assert.equal("Ann", e.name)
        assert.equal(1, e.id)
        for _, name in ipairs { "bio", "age", "settings", "secret", "team" } do
            local err = not_loaded(e, name)
            assert.equal("User", err.entity)
        end
        assert.is_nil(rawget(e, "age"))
        assert.is_nil(e.nothing)
        assert.is_false(orm.is_initialized(e))
        assert.equal([[User#1 { id = 1, name = "Ann" }]], tostring(e))
    end)

    it("I5: exclude and lazy leave out what they name", function()
        local e = em:find_one(User, 1)
        not_loaded(e, "bio")
        assert.equal(30, e.age)
        assert.equal("s", e.secret)
        assert.is_true(orm.is_initialized(e)) -- what is lazy does not count
        local other = em:fork():find(User, { id = 1 }, { exclude = { "age", "team", "secret" } })[1]
        not_loaded(other, "age")
        not_loaded(other, "team")
        not_loaded(other, "secret")
        not_loaded(other, "bio")
        assert.equal("Ann", other.name)
    end)

    it("I5: a lazy property is loaded when it is named", function()
        local e = em:find(User, { id = 1 }, { fields = { "id", "bio" } })[1]
        assert.equal("b", e.bio)
        local all = em:fork():find(User, { id = 1 }, {
            fields = { "name", "bio", "age", "settings", "secret", "team" },
        })[1]
        assert.equal("b", all.bio)
        assert.is_true(orm.is_initialized(all))
    end)

    it("I5: a reference knows its key, methods and unknown names, and nothing else", function()
        local e = em:get_reference(User, 1)
        assert.equal(1, e.id)
        not_loaded(e, "name")
        not_loaded(e, "team")
        not_loaded(e, "secret")
        assert.is_nil(e.undeclared)
        assert.is_false(orm.is_initialized(e))
        assert.equal("User#1 { id = 1 }", tostring(e))
        local slot = em:get_reference(Slot, { 1, 2 })
        assert.equal(2, slot.col)
        not_loaded(slot, "value")
        assert.equal(0, #work.log)
    end)

    it("I5: the relation of a loaded entity is a reference; its key needs no load", function()
        local e = em:find_one(User, 1)
        work:forget()
        assert.equal(1, e.team.id)
        not_loaded(e.team, "name")
        assert.equal(0, #work.log)
        em:find_one(Team, 1)
        assert.equal("red", e.team.name)
    end)

    it("I5: nothing assigned, nothing written", function()
        em:find(User, {}, { fields = { "name" } })
        em:get_reference(User, 1)
        em:get_reference(Team, 404)
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)

    it("I5: only what was assigned is written: a value, nil, orm.null, a relation, a hidden one", function()
        local e = em:find(User, { id = 1 }, { fields = { "name" } })[1]
        e.age = 31
        work:forget()
        em:flush()
        assert.equal(1, #work:work_statements())
        assert.same({ "Ann", "b", "31", "s", "1" }, user(1))
        assert.equal(31, e.age)
        not_loaded(e, "bio")
        e.bio = nil
        em:flush()
        assert.same({ "Ann", false, "31", "s", "1" }, user(1))
        assert.is_nil(e.bio)
        e.secret, e.team = "t", em:get_reference(Team, 2)
        em:flush()
        assert.same({ "Ann", false, "31", "t", "2" }, user(1))
        em:assign(e, { settings = orm.null, age = orm.null })
        em:flush()
        assert.same({ "Ann", false, false, "t", "2" }, user(1))
        assert.equal("0", raw:value "select count(*) from users where settings is not null")
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)

    it("I5: nil assigned to each kind of property that was never loaded is written", function()
        for _, name in ipairs { "bio", "age", "settings", "secret", "team" } do
            local e = em:fork():find(User, { id = 1 }, { fields = { "name" } })[1]
            local owner = getmetatable(e).box.shelf.em
            e[name] = nil
            assert.is_nil(e[name])
            owner:flush()
            local column = name == "team" and "team_id" or name
            assert.equal("1", raw:value(("select count(*) from users where id = 1 and %s is null"):format(column)))
        end
        assert.equal("Ann", raw:value "select name from users where id = 1")
    end)

    it("I5: nil for a required property that was never loaded is validation", function()
        local e = em:get_reference(User, 1)
        e.name = nil
        work:forget()
        local err = unit.raises("validation", em.flush, em)
        assert.equal("name", err.property)
        assert.equal(0, #work.log)
    end)

    it("I5: through a reference: written without a read, then complete as far as it is known", function()
        local e = em:get_reference(User, 2)
        e.name, e.team = "Rob", em:get_reference(Team, 1)
        work:forget()
        em:flush()
        assert.equal(1, #work:work_statements())
        assert.same({ "Rob", false, false, false, "1" }, user(2))
        assert.equal("Rob", e.name)
        not_loaded(e, "age")
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)

    it("I5: an assigned value that is equal to the row's is no change once it is loaded", function()
        local e = em:get_reference(User, 1)
        e.name = "Ann"
        em:find(User, { id = 1 }, { flush_mode = "commit" })
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)

    it("I5: later loads complete it; what was assigned stays until flush", function()
        local e = em:get_reference(User, 1)
        e.age = 99
        assert.equal(e, em:find(User, { id = 1 }, { fields = { "name" }, flush_mode = "commit" })[1])
        assert.equal("Ann", e.name)
        assert.equal(99, e.age)
        not_loaded(e, "settings")
        em:find(User, { id = 1 }, { flush_mode = "commit" })
        assert.equal(99, e.age)
        assert.same({ a = 1 }, e.settings)
        assert.equal(1, e.team.id)
        not_loaded(e, "bio")
        em:find(User, { id = 1 }, { fields = { "bio" }, flush_mode = "commit" })
        assert.equal("b", e.bio)
        assert.is_true(orm.is_initialized(e))
        em:flush()
        assert.same({ "Ann", "b", "99", "s", "1" }, user(1))
    end)

    it("I5: find_one, populate and refresh complete a reference", function()
        local a, b = em:get_reference(Team, 1), em:get_reference(Team, 2)
        em:find_one(Team, 1)
        assert.is_true(orm.is_initialized(a))
        assert.equal("go", a.motto)
        em:refresh(b)
        assert.is_true(orm.is_initialized(b))
        assert.is_nil(b.motto)
        local other = em:fork()
        local e = other:find_one(User, 1)
        assert.is_false(orm.is_initialized(e.team))
        other:load(e, { "team" })
        assert.is_true(orm.is_initialized(e.team))
    end)

    it("I5: refresh of a partial one loads all but lazy ones, and drops what was assigned", function()
        local e = em:find(User, { id = 1 }, { fields = { "name" } })[1]
        e.age, e.team, e.secret = 77, nil, "x"
        em:refresh(e)
        assert.equal(30, e.age)
        assert.equal(1, e.team.id)
        assert.equal("s", e.secret)
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end)

    it("I5: a failed flush leaves the assigned values assigned", function()
        local e = em:get_reference(User, 1)
        e.age, e.team = 55, em:get_reference(Team, 404)
        unit.raises("foreign_key_violation", em.flush, em)
        assert.equal(55, e.age)
        not_loaded(e, "name")
        e.team = em:get_reference(Team, 2)
        em:flush()
        assert.same({ "Ann", "b", "55", "s", "2" }, user(1))
    end)

    it("I5: versions are read with every partial load, so that the lock holds", function()
        local e = em:find(Document, { id = 1 }, { fields = { "title" } })[1]
        assert.equal(1, e.version)
        e.body = "mine"
        raw:exec "update documents set version = 2"
        unit.raises("optimistic_lock", em.flush, em)
        em:refresh(e)
        e.body = "mine"
        em:flush()
        assert.same({ { "T", "mine", "3" } }, raw:rows "select title, body, version from documents")
    end)

    it("I5: a json value that was not loaded is replaced, and once written it is compared", function()
        local e = em:get_reference(User, 1)
        e.settings = { b = { 1 } }
        em:flush()
        e.settings.b[1] = 2
        em:flush()
        assert.same({ b = { 2 } }, em:fork():find_one(User, 1).settings)
        assert.equal("Ann", raw:value "select name from users where id = 1")
    end)

    it("I5: many partial rows with different assignments keep what they did not assign", function()
        local rows = {}
        for i = 10, 259 do rows[#rows + 1] = ("(%d, 'n%d', 'b%d', %d, 's%d', 1)"):format(i, i, i, i, i) end
        raw:exec("insert into users (id, name, bio, age, secret, team_id) values " .. table.concat(rows, ","))
        local all = em:find(User, { id = op.gte(10) }, { fields = { "id" }, order_by = { "id" } })
        for i, e in ipairs(all) do
            if i % 3 == 0 then e.name = "N" .. e.id end
            if i % 3 == 1 then e.bio = nil end
            if i % 5 == 0 then e.secret = "S" .. e.id end
            if i % 7 == 0 then e.team = nil end
        end
        em:flush()
        local found = raw:rows "select id, name, bio, age, secret, team_id from users where id >= 10 order by id"
        assert.equal(250, #found)
        for i, row in ipairs(found) do
            local id = row[1]
            assert.same({
                id, (i % 3 == 0 and "N" or "n") .. id, i % 3 ~= 1 and "b" .. id, id, (i % 5 == 0 and "S" or "s") .. id,
                i % 7 ~= 0 and "1",
            }, row)
        end
    end)

    it("I5: unmanaged partial reads say what they lack", function()
        local e = em:find(User, { id = 1 }, { fields = { "name" }, managed = false })[1]
        assert.equal("Ann", e.name)
        unit.raises("not_loaded", function() return e.age end)
        unit.raises("not_loaded", function() return e.team end)
        unit.raises("not_loaded", function() return e.secret end)
    end)

    it("I5: a wrong name in fields or exclude is unknown_property with the nearest name", function()
        for _, option in ipairs { "fields", "exclude" } do
            local err = unit.raises("unknown_property", em.find, em, User, {}, { [option] = { "nmae" } })
            assert.is_truthy(err.message:find("name", 1, true))
        end
    end)
end)
