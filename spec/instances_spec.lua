-- Instances as the contract has them: raw loaded values and nothing else, everything else by name, every mistake
-- at its own line.

local cjson = require "cjson"
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

local Team = orm.entity {
    name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "boss", many_to_one = "User", nullable = true },
}

local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "email", type = "string", length = 255, unique = true },
    { "name", type = "string", nullable = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "role", type = "string", default = "member" },
    { "settings", type = "json", default = { theme = { dark = true }, tags = orm.array {} } },
    { "status", type = "string", nullable = true, default_sql = "'fresh'" },
    { "rank", type = "string", nullable = true, default = "low", hidden = true },
    { "grade", type = "integer", nullable = true, default = 3 },
    { "note", type = "string", nullable = true, persist = false },
    { "team", many_to_one = Team, nullable = true },
}
function User:label() return (self.name or "?") .. " <" .. self.email .. ">" end

local Bag = orm.entity {
    name = "Bag", open = true,
    { "id", type = "integer", primary = true },
    { "label", type = "string", nullable = true },
}

local function keys_of(e)
    local names = {}
    for name in pairs(e) do names[#names + 1] = tostring(name) end
    table.sort(names)
    return table.concat(names, " ")
end

databases.each(function(db)
    describe("instances", function()
        local instance, em, sent

        before_each(function()
            instance = orm.init(db:config { entities = { Team, User, Bag } })
            instance.schema:create()
            sent = expect.statements(instance)
            em = orm.em():fork()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function saved(data)
            data.email = data.email or "a@x"
            local user = em:persist_and_flush(em:create(User, data))
            em:clear()
            return user
        end

        it("User{} and em:create make the same plain table, which nothing writes before it is persisted", function()
            for _, make in ipairs { function(d) return User(d) end, function(d) return em:create(User, d) end } do
                local user = make { email = "a@x", name = "Ann" }
                assert.equal("email grade name role settings", keys_of(user))
                assert.equal("Ann <a@x>", user:label())
                assert.is_nil(user.id)
                assert.is_nil(user.team)
                assert.is_nil(user.bio)
                assert.is_true(orm.is_initialized(user))
            end
            em:flush()
            assert.same({}, sent)
        end)

        it("defaults are copied, deep, for each instance; the definition's own is never touched", function()
            local a, b = User { email = "a" }, em:create(User, { email = "b" })
            a.settings.theme.dark = "changed"
            a.settings.tags[1] = "x"
            assert.is_true(b.settings.theme.dark)
            assert.equal(0, #b.settings.tags)
            assert.is_true(orm.metadata(User).by_name.settings.default.theme.dark)
            em:persist_and_flush(b)
            b.settings.theme.dark = false
            assert.is_true(User { email = "c" }.settings.theme.dark)
            assert.equal("[]", cjson.encode(b.settings.tags) == "{}" and "[]" or cjson.encode(b.settings.tags))
        end)

        it("data given is not kept: the table of the program stays its own", function()
            local data = { email = "a@x", name = "Ann" }
            local user = em:create(User, data)
            em:persist_and_flush(user)
            assert.same({ email = "a@x", name = "Ann" }, data)
            assert.not_equal(data, user)
        end)

        it("pairs, next, cjson and rawget see loaded column values and nothing else", function()
            local team = Team { name = "core" }
            local user = User { email = "a@x", name = "Ann", password = "s3cret", team = team, note = "mine" }
            assert.equal("email grade name note role settings", keys_of(user))
            em:persist_and_flush(user)
            assert.equal("email grade id name note role settings status", keys_of(user))
            assert.equal("s3cret", user.password)
            assert.equal(team, user.team)
            em:clear()
            user = em:find_one(User, { email = "a@x" })
            assert.equal("email grade id name role settings status", keys_of(user))
            for _, hidden in ipairs { "password", "team", "bio", "note" } do assert.is_nil(rawget(user, hidden)) end
            assert.equal("s3cret", user.password)
            assert.equal("core", em:load(user, { "team" }).team.name)
            local text = cjson.encode(user)
            assert.is_nil(text:find("s3cret", 1, true))
            assert.is_nil(text:find("core", 1, true))
            assert.equal("Ann", cjson.decode(text).name)
        end)

        it("an unknown key raises at its line, with the nearest name, in every way to give it", function()
            local function check(fn)
                local err = raises("unknown_property", fn, "User", "'nmae'", "did you mean 'name'?")
                assert.equal("User", err.entity)
                assert.equal("nmae", err.property)
            end
            local user = em:create(User, { email = "a@x" })
            local managed = saved { email = "b@x" }
            managed = em:find_one(User, managed.id)
            local reference = em:get_reference(User, 99)
            check(function() local _ = User { email = "a@x", nmae = "x" } end)
            check(function() em:create(User, { email = "a@x", nmae = "x" }) end)
            check(function() user.nmae = "x" end)
            check(function() managed.nmae = "x" end)
            check(function() reference.nmae = "x" end)
            check(function() em:assign(user, { name = "changed", nmae = "x" }) end)
            check(function() em:insert(User, { email = "c@x", nmae = "x" }) end)
            check(function() em:insert_many(User, { { email = "c@x" }, { email = "d@x", nmae = "x" } }) end)
            check(function() em:update_where(User, { id = 1 }, { nmae = "x" }) end)
            check(function() em:find(User, { nmae = "x" }) end)
            assert.is_nil(user.nmae)
            assert.is_nil(managed.nmae)
            assert.is_nil(user.name) -- assign is all or nothing
            assert.equal("1", db:raw():value "select count(*) from users")
        end)

        it("keys that are no names are refused too", function()
            local user = User { email = "a@x" }
            raises("unknown_property", function() user[1] = "x" end, "User")
            raises("unknown_property", function() user[{}] = "x" end, "User")
            raises("unknown_property", function() local _ = User { "a@x" } end, "User")
            raises("unknown_property", function() em:assign(user, { [true] = 1 }) end, "User")
            assert.is_nil(user[1])
        end)

        it("with open = true undeclared keys are the program's own", function()
            local bag = em:create(Bag, { label = "x", colour = "red" })
            bag.size = 3
            em:assign(bag, { weight = 4 })
            em:persist_and_flush(bag)
            assert.equal("colour id label size weight", keys_of(bag))
            assert.is_nil(bag.unknown)
            assert.same({ { "1", "x" } }, db:raw():rows "select * from bag")
            local before = #sent
            bag.size = 5
            em:flush()
            assert.equal(before, #sent)
            assert.equal(2, em:insert(Bag, { label = "y", colour = "blue" }))
            assert.equal(1, em:update_where(Bag, { id = 2 }, { label = "z", colour = "green" }))
            assert.equal("z", db:raw():value "select label from bag where id = 2")
            raises("unknown_property", function() em:find(Bag, { colour = "red" }) end, "Bag")
        end)

        it("methods answer on every kind of instance", function()
            local user = saved { name = "Ann" }
            assert.equal("Ann <a@x>", user:label()) -- left by clear
            assert.equal("Ann <a@x>", em:find_one(User, user.id):label())
            assert.equal("Ann <a@x>", em:find(User, {}, { managed = false })[1]:label())
            assert.is_function(em:get_reference(User, 7).label)
            assert.has_error(function() function User.email() end end)
            raises("metadata", function() User.team = 1 end, "User", "'team'")
        end)

        it("what is given as data has to be a plain table", function()
            raises("validation", function() local _ = User "a@x" end, "User", "string")
            raises("validation", function() em:create(User, 7) end, "User", "number")
            raises("validation", function() em:create(User, User { email = "a" }) end, "User")
            raises("validation", function() em:assign(User { email = "a" }, nil) end, "em:assign")
            raises("validation", function() em:assign({ id = 1 }, { name = "x" }) end, "em:assign", "plain table")
            raises("validation", function() em:persist(nil) end, "em:persist", "nil")
            raises("validation", function() em:persist({ email = "a" }) end, "em:persist", "plain table")
            raises("validation", function() em:persist(User) end, "em:persist")
            raises("entity_not_registered", function() em:create("Usr", {}) end, "'Usr'", "'default'")
        end)

        it("orm.null is NULL in create and assign, against defaults of both kinds", function()
            local user = em:create(User, { email = "a@x", name = orm.null, status = orm.null, team = orm.null,
                password = orm.null, grade = orm.null, rank = orm.null })
            assert.is_nil(user.grade)
            em:persist_and_flush(user)
            assert.is_nil(user.name)
            assert.is_nil(user.status)
            assert.is_nil(user.team)
            assert.is_nil(user.password)
            assert.equal("email id role settings", keys_of(user))
            em:persist_and_flush(em:create(User, { email = "b@x" }))
            local emptied = em:create(User, { email = "c@x" })
            emptied.grade, emptied.rank = nil, nil
            em:persist_and_flush(emptied)
            assert.is_nil(emptied.grade)
            assert.same({ { "a@x", false, false, false, false }, { "b@x", false, "fresh", "3", "low" },
                { "c@x", false, "fresh", false, false } },
                db:raw():rows "select email, name, status, grade, rank from users order by email")
            em:assign(user, { name = "Ann", password = "p", team = Team { name = "t" } })
            em:flush()
            em:assign(user, { name = orm.null, password = orm.null, team = orm.null })
            assert.is_nil(user.name)
            assert.is_nil(user.password)
            assert.is_nil(user.team)
            em:flush()
            assert.same({ { false, false, false } },
                db:raw():rows "select name, password, team_id from users where email = 'a@x'")
            raises("validation", function()
                em:persist_and_flush(em:create(User, { email = orm.null }))
            end, "User.email")
        end)

        it("orm.null assigned to a property is an absent field after the flush", function()
            local user = saved { name = "Ann" }
            user = em:find_one(User, user.id)
            user.name = orm.null
            em:flush()
            assert.is_nil(user.name)
            assert.is_nil(rawget(user, "name"))
            assert.same({ { false } }, db:raw():rows "select name from users")
            local before = #sent
            em:flush()
            assert.equal(before, #sent)
        end)

        it("tostring is one line for a REPL, loads nothing and shows no hidden value", function()
            local user = User { email = "a@x", name = "two\nlines", password = "s3cret" }
            assert.equal('User#new { email = "a@x", name = "two\\nlines", role = "member", settings = {...}, '
                .. 'grade = 3 }', tostring(user))
            em:persist_and_flush(user)
            assert.equal('User#1 { id = 1, email = "a@x", name = "two\\nlines", role = "member", settings = {...}, '
                .. 'status = "fresh", grade = 3 }', tostring(user))
            em:clear()
            local before = #sent
            local reference = em:get_reference(User, 7)
            assert.equal("User#7 { id = 7 }", tostring(reference))
            user.name = ("x"):rep(5000)
            assert.is_true(#tostring(user) < 300)
            assert.equal(before, #sent)
            assert.equal("Entity<User>", tostring(User))
            assert.matches("^repository<.*User.*default>$", tostring(orm.repository(User)))
            assert.matches("^em<default: 1 managed>$", tostring(em))
            assert.matches("^em<default: 0 managed>$", tostring(orm.em()))
            assert.equal("em<nowhere>", tostring(orm.em "nowhere"))
        end)

        it("no password in the tostring of instance, entity manager, connection or error", function()
            local seen = {}
            local secret = "s3cret-of-all"
            local config = db:config { context_name = "private", entities = { User, Team }, password = secret,
                on_connect = function(conn) seen[#seen + 1] = tostring(conn) end }
            local made = orm.init(config)
            made:connect()
            seen[#seen + 1] = tostring(made)
            seen[#seen + 1] = tostring(made.em)
            seen[#seen + 1] = tostring(made.em:fork())
            seen[#seen + 1] = tostring(made.config)
            seen[#seen + 1] = tostring(made.em:repository(User))
            assert.equal(6, #seen)
            for _, text in ipairs(seen) do
                assert.is_nil(text:find(secret, 1, true), text)
                -- Says something better than an address. (The names of temporary files may have "0x" in them.)
                assert.is_nil(text:find "0x%x%x%x%x%x%x", text)
            end
            assert.matches("private", tostring(made))
            orm.close "private"
            assert.matches("closed", tostring(made))
        end)
    end)
end)
