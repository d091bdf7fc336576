-- The calls that read, by key and by filter, managed and unmanaged, with what each of them sends.

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
    { "age", type = "integer", nullable = true },
    { "price", type = "decimal", precision = 12, scale = 2, nullable = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "team", many_to_one = Team, nullable = true },
    repository = {
        adults = function(self, opts) return self:find({ age = op.gte(18) }, opts) end,
        count = function() return "its own" end,
    },
}
local Seat = orm.entity {
    name = "Seat",
    { "row", type = "string", length = 2, primary = true },
    { "number", type = "integer", primary = true },
    { "user", many_to_one = User, nullable = true },
}
local Badge = orm.entity {
    name = "Badge",
    { "code", type = "uuid", primary = true },
    { "label", type = "string" },
}
local UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

local function names(list)
    local result = {}
    for i, user in ipairs(list) do result[i] = user.name or "-" end
    return table.concat(result, " ")
end

databases.each(function(db)
    describe("reading", function()
        local instance, em, sent

        local function open(overrides)
            overrides.entities = { Team, User, Seat, Badge }
            instance = orm.init(overrides)
            instance.schema:create()
            em = orm.em():fork()
            local core = Team { name = "core" }
            local rows = { { "Ann", 41, "9.50" }, { "Ben", 17, "10.00" }, { "Cleo", nil, "-3.00" }, { "Dan", 9 } }
            for i, row in ipairs(rows) do
                em:persist(User { name = row[1], age = row[2], price = row[3], team = i <= 2 and core or nil,
                    bio = "bio " .. row[1], password = "secret " .. row[1] }):flush()
            end
            em:persist(Seat { row = "A", number = 1, user = em:find_one(User, 1) }, Seat { row = "A", number = 2 })
            em:persist(Seat { row = "B", number = 1 }, Badge { code = UUID, label = "gold" }):flush()
            em:clear()
            sent = expect.statements(instance)
        end

        before_each(function() open(db:config()) end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("I2: every form of a key finds the one instance, once by SQL and then without", function()
            local ways = {
                function() return em:find_one(User, 2) end,
                function() return em:find_one(User, "2") end,
                function() return em:find_one(User, 2.0) end,
                function() return em:find_one(User, { id = 2 }) end,
                function() return em:find_one(User, { id = "2" }) end,
                function() return em:find_one("User", 2) end,
                function() return em:find_one_or_fail(User, 2) end,
                function() return em:repository(User):find_one(2) end,
                function() return em:get_reference(User, 2) end,
            }
            local first = em:find_one(User, 2)
            for i, way in ipairs(ways) do
                local list, found = sent_by(sent, way)
                assert.equal(first, found, "way " .. i)
                assert.same({}, list)
                if i < #ways then
                    local fresh = em:fork()
                    local former = em
                    em = fresh
                    list, found = sent_by(sent, way)
                    em = former
                    assert.equal("Ben", found.name)
                    assert.equal(1, #list)
                end
            end
        end)

        it("I2: composite keys are arrays in declared order or tables by name, uuids any spelling", function()
            local seat = em:find_one(Seat, { "A", 2 })
            for _, key in ipairs { { "A", 2 }, { "A", "2" }, { row = "A", number = 2 }, { number = 2.0, row = "A" } } do
                local list, found = sent_by(sent, function() return em:find_one(Seat, key) end)
                assert.equal(seat, found)
                assert.same({}, list)
                assert.equal(seat, em:get_reference(Seat, key))
            end
            assert.equal(seat, em:find_one(Seat, { number = op.eq(2), row = "A" }))
            local badge = em:find_one(Badge, UUID)
            assert.equal(badge, em:find_one(Badge, UUID:upper()))
            assert.equal(badge, em:find_one(Badge, { code = UUID:upper() }))
            assert.is_nil(em:find_one(Seat, { "A", 3 }))
        end)

        it("I2: what cannot be a key is validation", function()
            raises("validation", function() em:find_one(User, "x") end, "User")
            raises("validation", function() em:find_one(User, 1.5) end, "User")
            raises("validation", function() em:find_one(User, "1.5") end, "User")
            raises("validation", function() em:find_one(User, true) end, "User")
            raises("validation", function() em:find_one(User, { 2 }) end, "User")
            raises("validation", function() em:find_one(Badge, "no-uuid") end, "Badge")
            raises("validation", function() em:find_one(Seat, { "A" }) end, "Seat", "row", "number")
            raises("validation", function() em:find_one(Seat, { "A", 1, 2 }) end, "Seat")
            raises("validation", function() em:find_one(Seat, "A") end, "Seat")
            raises("validation", function() em:get_reference(User, nil) end, "User")
            raises("validation", function() em:get_reference(User, orm.null) end, "User")
            raises("validation", function() em:get_reference(User, {}) end, "User")
            raises("validation", function() em:get_reference(User, "x") end, "User")
            raises("validation", function() em:get_reference(Seat, { "A" }) end, "Seat")
            raises("validation", function() em:get_reference(Seat, { row = "A", nmber = 1 }) end, "Seat")
            assert.is_nil(em:find_one(User, 2147483647))
        end)

        it("find, find_one, find_one_or_fail, find_all, find_and_count and count", function()
            local by_id = { order_by = { "id" } }
            assert.equal("Ann Ben Cleo Dan", names(em:find(User, {}, by_id)))
            assert.equal("Ann Ben Cleo Dan", names(em:find_all(User, by_id)))
            assert.equal("Ann Ben", names(em:find(User, { team = 1 }, by_id)))
            assert.same({}, em:find(User, { name = "nobody" }))
            assert.equal("Ben", em:find_one(User, { name = op.like "B%" }).name)
            assert.equal("Dan", em:find_one(User, {}, { all = true, order_by = { "id desc" } }).name)
            assert.is_nil(em:find_one(User, { name = "nobody" }))
            local err = raises("not_found", function() em:find_one_or_fail(User, { name = "s3cret" }) end, "User")
            assert.is_nil(tostring(err):find("s3cret", 1, true))
            raises("not_found", function() em:find_one_or_fail(User, 77) end, "User")
            local items, total = em:find_and_count(User, { age = op.not_null() },
                { order_by = { "id" }, limit = 1, offset = 1 })
            assert.equal("Ben", names(items))
            assert.equal(3, total)
            assert.equal(4, em:count(User, {}))
            assert.equal(2, em:count(User, { team = { name = "core" } }))
            assert.equal(0, em:count(User, { name = "nobody" }))
            assert.equal(1, #sent_by(sent, function() return em:find_one(User, { age = op.gt(1) }) end))
        end)

        it("Q3: limit and offset count entities, with a join in the filter and the order too", function()
            local function page(limit, offset)
                return names(em:find(User, op.any { { team = { name = "core" } }, { team = orm.null } },
                    { order_by = { "team.name desc nulls last", "id" }, limit = limit, offset = offset }))
            end
            assert.equal("Ann Ben Cleo", page(3))
            assert.equal("Ben Cleo", page(2, 1))
            assert.equal("Dan", page(9, 3))
            assert.equal("Cleo Dan", page(nil, 2))
            assert.equal("", page(0))
            assert.equal("", page(3, 100))
            for _, wrong in ipairs { -1, 1.5, "1", true, {}, 0 / 0, 1 / 0, 2 ^ 53 } do
                raises("validation", function() em:find(User, {}, { limit = wrong }) end, "limit", "User")
                raises("validation", function() em:find(User, {}, { offset = wrong }) end, "offset", "User")
            end
        end)

        it("order_by takes all its forms, and puts NULLs alike on both drivers", function()
            local function ordered(...) return names(em:find(User, {}, { order_by = ... })) end
            assert.equal("Dan Ben Ann Cleo", ordered { "age" })
            assert.equal("Cleo Ann Ben Dan", ordered { "age desc" })
            assert.equal("Cleo Dan Ben Ann", ordered { "age nulls first" })
            assert.equal("Ann Ben Dan Cleo", ordered { "age DESC NULLS LAST" })
            assert.equal("Cleo Dan Ben Ann", ordered { "age asc nulls first" })
            assert.equal("Dan Cleo Ben Ann", ordered { name = "desc" })
            assert.equal("Dan Cleo Ben Ann", ordered { { name = "desc" } })
            assert.equal("Ben Ann Dan Cleo", ordered { "team.name", { name = "desc" } })
            assert.equal("Dan Cleo Ben Ann", ordered { "team.name nulls first", "name desc" })
            assert.equal("Cleo Dan Ann Ben", ordered { "team desc", "name" })
            assert.equal("Cleo Ann Ben Dan", ordered { "price" }) -- as numbers, not as text
            assert.equal("Dan Ben Ann Cleo", ordered { "price desc" })
            assert.equal(4, #em:find(User, {}, { order_by = {} }))
            local function refused(kind, order_by, ...)
                raises(kind, function() em:find(User, {}, { order_by = order_by }) end, ...)
            end
            refused("unknown_property", { "nmae" }, "User", "did you mean 'name'?")
            refused("unknown_property", { "team.nmae" }, "Team", "did you mean 'name'?")
            refused("unknown_property", { "taem.name" }, "did you mean 'team'?")
            refused("validation", { "name up" }, "User")
            refused("validation", { "name.id" }, "User")
            refused("validation", { name = "desc", id = "asc" }, "User")
            refused("validation", { "name desc; drop table users" }, "User")
            refused("validation", "name", "User")
            refused("validation", { 1 }, "User")
        end)

        it("I5: fields, exclude and lazy give partial instances that say what they lack", function()
            local user = em:find_one(User, { name = "Ann" }, { fields = { "name" } })
            assert.equal("Ann", user.name)
            assert.equal(1, user.id)
            assert.is_false(orm.is_initialized(user))
            for _, name in ipairs { "age", "bio", "password", "team" } do
                raises("not_loaded", function() return user[name], nil end, "User." .. name, "fields")
            end
            assert.same({ id = 1, name = "Ann" }, (function()
                local copy = {}
                for key, value in pairs(user) do copy[key] = value end
                return copy
            end)())
            em:find(User, { id = op.gt(0) }, { fields = { "age", "team" } })
            assert.equal(41, user.age)
            assert.equal(1, user.team.id)
            raises("not_loaded", function() return user.bio, nil end, "User.bio")
            em:refresh(user)
            assert.equal("bio Ann", user.bio)
            assert.equal("secret Ann", user.password)
            assert.is_true(orm.is_initialized(user))
            user = em:find_one(User, { id = 2 }, { exclude = { "name", "team" } })
            raises("not_loaded", function() return user.name, nil end, "User.name")
            assert.equal(17, user.age)
            raises("unknown_property", function() em:find(User, {}, { fields = { "nmae" } }) end, "'name'")
            raises("unknown_property", function() em:find(User, {}, { exclude = { "nmae" } }) end, "'name'")
            raises("validation", function() em:find(User, {}, { fields = "name" }) end, "fields")
            raises("validation", function() em:find(User, {}, { fields = { name = true } }) end, "fields")
        end)

        it("an unknown option is refused with the nearest name", function()
            raises("unknown_property", function() em:find(User, {}, { ordr_by = { "id" } }) end, "'order_by'", "User")
            raises("unknown_property", function() em:find_one(User, 1, { polulate = { "team" } }) end, "'populate'")
            em:find_one(User, 1)
            raises("unknown_property", function() em:find_one(User, 1, { polulate = { "team" } }) end, "'populate'")
            raises("unknown_property", function() em:count(User, {}, { limt = 1 }) end, "'limit'")
            raises("validation", function() em:find(User, {}, "name") end, "User")
            raises("validation", function() em:find(User, {}, { managed = "no" }) end, "managed")
            raises("validation", function() em:find(User, {}, { flush_mode = "never" }) end, "flush_mode")
        end)

        it("get_reference reads nothing; refresh reads what is there, and says when nothing is", function()
            local list, reference = sent_by(sent, function() return em:get_reference(User, 3) end)
            assert.same({}, list)
            assert.is_false(orm.is_initialized(reference))
            assert.is_true(em:contains(reference))
            assert.equal(reference, em:refresh(reference))
            assert.equal("Cleo", reference.name)
            assert.is_true(orm.is_initialized(reference))
            reference.name, reference.team, reference.password = "changed", em:get_reference(Team, 1), "x"
            db:raw():exec "update users set age = 50 where id = 3"
            assert.equal(1, #sent_by(sent, function() return em:refresh(reference) end))
            assert.equal("Cleo", reference.name)
            assert.equal(50, reference.age)
            assert.is_nil(reference.team)
            assert.equal("secret Cleo", reference.password)
            assert.same({}, (sent_by(sent, function() em:flush() end)))
            raises("not_found", function() em:refresh(em:get_reference(User, 77)) end, "User#77")
            raises("not_managed", function() em:refresh(User { name = "x" }) end, "User")
            raises("validation", function() em:refresh {} end, "em:refresh")
        end)

        it("contains, detach and clear", function()
            local ann, ben = em:find_one(User, 1), em:find_one(User, 2)
            local new = User { name = "new" }
            assert.is_true(em:contains(ann))
            assert.is_false(em:contains(new))
            assert.is_false(em:contains {})
            assert.is_false(em:fork():contains(ann))
            em:persist(new)
            assert.is_true(em:contains(new))
            em:remove(ben)
            assert.is_false(em:contains(ben))
            ann.name = "changed"
            assert.equal(em, em:detach(ann))
            assert.is_false(em:contains(ann))
            assert.equal("changed", ann.name)
            assert.equal(1, ann.team.id)
            assert.equal("secret Ann", ann.password)
            raises("not_loaded", function() return ann.bio, nil end, "User.bio")
            assert.not_equal(ann, em:find_one(User, 1))
            assert.equal("Ann", em:find_one(User, 1).name)
            em:clear()
            assert.is_false(em:contains(new))
            assert.same({}, (sent_by(sent, function() em:flush() end)))
            assert.equal("4", db:raw():value "select count(*) from users")
        end)

        it("repositories have the entity manager's methods without the entity, and their own", function()
            for _, users in ipairs { orm.repository(User), orm.repository("User"), em:repository(User),
                em:repository "User", orm.repository(User, "default") } do
                assert.equal("Ann", names(users:adults { limit = 1 }))
                assert.equal("its own", users:count {})
                assert.equal("Ben", users:find_one(2).name)
                assert.equal(4, #users:find_all())
                assert.equal("Dan", select(1, users:find_and_count({ age = 9 }))[1].name)
                assert.equal(7, users:get_reference(7).id)
                assert.is_nil(users.unheard_of)
                assert.equal("x", users:create({ name = "x" }).name)
                raises("unknown_property", function() users:find { nmae = "x" } end, "User")
            end
            local users = em:repository(User)
            local user = users:create { name = "Eve" }
            users:persist(user):flush()
            assert.equal(1, users:update_where({ name = "Eve" }, { age = 1 }))
            assert.equal(1, users:delete_where { name = "Eve" })
            assert.equal(6, users:insert { name = "Fay" })
            assert.equal(user, users:detach(user) and user)
            raises("entity_not_registered", function() em:repository "Usr" end, "Usr")
            raises("entity_not_registered", function() orm.repository("Usr"):find_all() end, "Usr")
            raises("context_not_found", function() orm.repository(User, "defualt"):find_all() end, "'default'")
        end)
    end)
end)
