-- em:map: rows of raw SQL become managed instances.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises, sent_by = expect.raises, expect.sent_by

local Mood = orm.type { column = "string", to_db = function(v) return "m:" .. v end,
    from_db = function(v) return v:sub(3) end }
local Place = orm.embeddable { name = "Place", { "city", type = "string", nullable = true } }
local Team = orm.entity { name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "users", one_to_many = "User", mapped_by = "team" },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", column = "full_name", nullable = true },
    { "active", type = "boolean", nullable = true },
    { "price", type = "decimal", precision = 8, scale = 2, nullable = true },
    { "seen", type = "timestamp", nullable = true },
    { "day", type = "date", nullable = true },
    { "code", type = "uuid", nullable = true },
    { "doc", type = "json", nullable = true },
    { "marks", type = "array", array_of = "integer", nullable = true },
    { "data", type = "blob", nullable = true },
    { "big", type = "bigint", as = "string", nullable = true },
    { "mood", type = Mood, nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "home", embedded = Place, nullable = true },
    { "team", many_to_one = Team, nullable = true },
    { "version", type = "integer", version = true },
}
local Seat = orm.entity { name = "Seat",
    { "row", type = "string", primary = true },
    { "user", many_to_one = User, primary = true },
    { "note", type = "string", nullable = true },
}
local Animal = orm.entity { name = "Animal", discriminator_column = "kind",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
}
local Dog = orm.entity { name = "Dog", extends = Animal, { "tricks", type = "integer", nullable = true } }
local Cat = orm.entity { name = "Cat", extends = Animal, { "lives", type = "integer", nullable = true } }

databases.each(function(db)
    describe("em:map", function()
        local instance, em, sent

        before_each(function()
            instance = orm.init(db:config { entities = { Team, User, Seat, Animal, Dog, Cat } })
            instance.schema:create()
            em = orm.em():fork()
            em:insert(Team, { name = "core" })
            em:insert_many(User, {
                { name = "Ann", active = true, price = "1.5", seen = 1700000000.25, day = "2024-02-29",
                    code = "123E4567-E89B-42D3-A456-426614174000", doc = { a = { 1, orm.null }, s = "x" },
                    marks = { 1, 2 }, data = "\0\255'", big = "9223372036854775807", mood = "good", secret = "s",
                    bio = "long", home = { city = "Graz" }, team = 1 },
                { active = false, doc = "text", price = 3 },
            })
            sent = expect.statements(instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function row(where) return em:execute("select * from users where " .. where)[1] end

        it("I1: gives what a read gives, for every type, and it is managed", function()
            local read = em:fork()
            for id = 1, 2 do
                local user = em:map(User, row("id = " .. id))
                local other = read:find_one(User, id)
                read:refresh(other)
                local list = sent_by(sent, function()
                    for _, name in ipairs { "name", "active", "price", "seen", "day", "code", "data", "big", "mood",
                        "secret", "bio", "version" } do
                        assert.equal(other[name], user[name], name)
                    end
                    assert.same(other.doc, user.doc)
                    assert.same(other.marks, user.marks)
                    assert.equal(other.home and other.home.city, user.home and user.home.city)
                    assert.equal(other.team and other.team.id, user.team and user.team.id)
                    assert.is_true(orm.is_initialized(user))
                    assert.equal(user, em:find_one(User, id))
                    assert.equal(user, em:map("User", { id = tostring(id) }))
                    em:flush() -- U1: nothing is pending
                end)
                assert.same({}, list)
            end
        end)

        it("what it gives is written like any other", function()
            local user = em:map(User, row "id = 1")
            user.name, user.team, user.doc.a[1] = "Anna", nil, 5
            em:flush()
            assert.same({ { "Anna", false, "2" } },
                db:raw():rows "select full_name, team_id, version from users where id = 1")
        end)

        it("I3: a managed instance gets the row's values, but for those changed in memory", function()
            local user = em:find_one(User, 1)
            user.name = "mine"
            em:map(User, { id = 1, full_name = "theirs", price = "2", active = orm.null, version = 1 })
            assert.same({ "mine", "2.00" }, { user.name, user.price, user.active })
            em:map(User, { id = 1, full_name = "theirs", price = "9", version = 2 })
            assert.same({ "mine", "2.00", 1 }, { user.name, user.price, user.version })
            em:refresh(user)
            assert.same({ "Ann", "1.50" }, { user.name, user.price })
        end)

        it("I5: columns that the row lacks are not loaded, NULLs that it has are", function()
            local user = em:map(User, em:execute "select id, full_name, team_id from users where id = 2"[1])
            assert.is_nil(user.name)
            assert.is_nil(user.team)
            raises("not_loaded", function() local _ = user.price end, "User.price")
            assert.is_false(orm.is_initialized(user))
            user.price = "7"
            em:flush()
            assert.same({ { false, "7.00" } },
                db:raw():rows "select full_name, cast(price as text) from users where id = 2")
            assert.equal("7.00", em:map(User, row "id = 2").price)
            assert.is_true(orm.is_initialized(user))
        end)

        it("takes properties' names, keys of relations in any form, and names of its own", function()
            local user = em:map(User, { id = 5, name = "Eve", mood = "m:bad", team = 1, version = 3 })
            assert.same({ "Eve", "bad", 3 }, { user.name, user.mood, user.version })
            assert.equal(em:get_reference(Team, 1), user.team)
            assert.is_nil(em:map(User, { id = 6, team = orm.null }).team)
            local seat = em:map(Seat, { row = "A", user = user, note = "x" })
            assert.equal(seat, em:map(Seat, { row = "A", user_id = 5 }))
            assert.equal(user, seat.user)
            local list = em:execute "select id as id, upper(full_name) as name from users order by id"
            assert.equal("ANN", em:map(User, list[1]).name)
        end)

        it("a row of an entity that shares its table is of that entity", function()
            em:insert(Dog, { name = "Rex", tricks = 3 })
            em:insert(Cat, { name = "Tom", lives = 7 })
            local rows = em:execute "select * from animal order by id"
            local rex, tom = em:map(Animal, rows[1]), em:map(Cat, rows[2])
            assert.same({ 3, 7 }, { rex.tricks, tom.lives })
            assert.equal(rex, em:find_one(Dog, 1))
            assert.equal(tom, em:find_one(Animal, 2))
            assert.equal(tom, em:map(Animal, { id = 2, name = "Tim" }))
            assert.equal("Tim", tom.name)
            em:clear()
            raises("validation", function() em:map(Dog, rows[2]) end, "Cat", "Dog")
            raises("metadata", function() em:map(Animal, { id = 9, kind = "cow" }) end, "discriminator")
            assert.equal(1, em:map(Dog, { id = 9, tricks = 1 }).tricks)
        end)

        it("on_load hears what was not loaded before", function()
            local heard = {}
            instance:on("on_load", function(user) heard[#heard + 1] = user.id end)
            em:map(User, row "id = 1")
            em:map(User, row "id = 1")
            em:map(User, row "id = 2")
            assert.same({ 1, 2 }, heard)
        end)

        it("pending rows stay as they are", function()
            local user = em:find_one(User, 1)
            em:remove(user)
            assert.equal(user, em:map(User, { id = 1, name = "x" }))
            assert.is_false(em:contains(user))
            local new = em:create(User, { id = 9, name = "new" })
            em:persist(new)
            assert.equal(new, em:map(User, { id = 9, name = "x" }))
            assert.equal("new", new.name)
        end)

        it("F1: a rollback takes it back", function()
            local user = em:find_one(User, 1)
            local other
            em:begin()
            em:map(User, { id = 1, name = "x", version = 5 })
            other = em:map(User, row "id = 2")
            assert.same({ "x", 5 }, { user.name, user.version })
            em:rollback()
            assert.same({ "Ann", 1 }, { user.name, user.version })
            assert.is_false(em:contains(other))
        end)

        it("what is no row of the entity is refused, and nothing becomes of it", function()
            raises("validation", function() em:map(User, nil) end, "em:execute")
            raises("validation", function() em:map(User, User { name = "x" }) end, "an instance")
            raises("validation", function() em:map(User, { name = "x" }) end, "User.id", "key")
            raises("validation", function() em:map(User, { id = orm.null }) end, "User.id", "key")
            raises("validation", function() em:map(User, { id = 1, price = "1.234" }) end, "User.price")
            raises("validation", function() em:map(User, { id = "x" }) end, "User.id")
            raises("unknown_property", function() em:map(User, { id = 1, nam = "x" }) end, "name")
            raises("validation", function() em:map(User, { id = 1, home = { city = "x" } }) end, "User.home", "columns")
            raises("validation", function() em:map(Team, { id = 1, users = {} }) end, "Team.users")
            if db.name == "sqlite" then
                raises("validation", function() em:map(User, { id = 1, doc = "{" }) end, "User.doc", "JSON")
            end
            assert.is_nil(tostring(em):match "[1-9]%d* managed")
        end)
    end)
end)
