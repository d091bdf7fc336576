-- Repositories: every method of the entity manager without the entity, an entity's own beside them, in whatever scope
-- or transaction is in force.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local op = orm.op
local raises = expect.raises

local User = orm.entity {
    name = "User", table = "users", discriminator_column = "kind", discriminator_value = "user",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "age", type = "integer", nullable = true },
    { "books", one_to_many = "Book", mapped_by = "owner" },
    repository = {
        adults = function(self, opts) return self:find({ age = op.gte(18) }, opts) end,
        find_all = function(self, opts)
            opts = opts or {}
            opts.order_by = opts.order_by or { "name desc" }
            return self.em:find_all(self.entity, opts)
        end,
        own = function(self, ...) return self.entity, select("#", ...), ... end,
        fails = function() error({ mine = true }) end,
    },
}
local Admin = orm.entity {
    name = "Admin", extends = User, discriminator_value = "admin",
    { "level", type = "integer", nullable = true },
    repository = {
        adults = function(self, opts) return self:find({ level = op.gte(1) }, opts) end,
        highest = function(self) return self:find({}, { order_by = { "level desc nulls last" }, limit = 1 })[1] end,
    },
}
local Book = orm.entity {
    name = "Book",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "owner", many_to_one = User, nullable = true },
}

local function names(list)
    local made = {}
    for i, each in ipairs(list) do made[i] = each.name end
    return table.concat(made, " ")
end

databases.each(function(db)
    describe("a repository", function()
        local instance

        before_each(function()
            instance = orm.init(db:config { entities = { User, Admin, Book } })
            instance.schema:create()
            local em = orm.em():fork()
            em:insert_many(User, { { name = "Ann", age = 41 }, { name = "Ben", age = 12 } })
            em:insert(Admin, { name = "Cleo", age = 3, level = 2 })
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        -- The same through each way to one: `fn(users, em)` in a scope of its own, rolled back after it.
        local function each_way(fn)
            local ways = {
                function() return orm.repository(User) end, function() return orm.repository "User" end,
                function() return orm.repository(User, "default") end,
                function(em) return em:repository(User) end, function(em) return em:repository "User" end,
                function() return orm.em():repository(User) end,
            }
            for _, way in ipairs(ways) do
                orm.testing(nil, function()
                    local em = orm.get_context()
                    fn(way(em), em)
                end)
            end
        end

        it("reads", function()
            each_way(function(users, em)
                assert.same("Ann Ben Cleo", names(users:find({}, { order_by = { "name" } })))
                local ann = users:find_one { name = "Ann" }
                assert.same(getmetatable(em:find_one(User, { name = "Ann" })), getmetatable(ann))
                assert.equal(ann, em:find_one(User, ann.id))
                assert.equal(ann, users:find_one(ann.id))
                assert.equal(ann, users:find_one_or_fail { name = "Ann" })
                raises("not_found", function() users:find_one_or_fail { name = "Nobody" } end, "User")
                local list, total = users:find_and_count({ age = op.gt(1) }, { limit = 1, order_by = { "name" } })
                assert.same({ "Ann", 3 }, { names(list), total })
                local page = users:find_by_cursor({}, { order_by = { "name" }, first = 2, count = true })
                assert.same({ "Ann Ben", true, 3 }, { names(page.items), page.has_next, page.total })
                assert.same(2, users:count { age = op.lt(18) })
                local seen = {}
                for user in users:stream({}, { order_by = { "name" } }) do seen[#seen + 1] = user end
                assert.same("Ann Ben Cleo", names(seen))
                assert.equal(users:get_reference(77), em:get_reference(User, 77))
                assert.same("Ben", users:query("u"):where { ["u.age"] = 12 }:one().name)
                assert.equal(ann, users:map { id = ann.id, name = "Ann", age = 41 })
                raises("validation", function() users:find() end, "User")
                raises("unknown_property", function() users:find { nmae = 1 } end, "name")
            end)
        end)

        it("writes", function()
            each_way(function(users, em)
                local dan = users:create { name = "Dan" }
                assert.equal(users, users:persist(dan))
                users:flush()
                assert.is_true(users:contains(dan))
                assert.equal(dan, users:assign(dan, { age = 20 }))
                assert.same(1, #users:changes())
                users:flush()
                assert.same(20, em:fork():find_one(User, { name = "Dan" }) and dan.age)
                assert.equal(users, users:remove(dan))
                users:flush()
                assert.same(0, users:count { name = "Dan" })
                local eve = users:create { name = "Eve" }
                assert.equal(eve, users:persist_and_flush(eve))
                assert.same(1, users:update_where({ name = "Eve" }, { age = 5 }))
                assert.equal(eve, users:refresh(eve))
                assert.same(5, eve.age)
                users:remove_and_flush(eve)
                local key = users:insert { name = "Fay" }
                assert.same("Fay", users:find_one(key).name)
                local keys = users:insert_many { { name = "Gus" }, { name = "Hal" } }
                assert.same({ "Gus", "Hal" }, { users:find_one(keys[1]).name, users:find_one(keys[2]).name })
                assert.same(2, users:delete_where { id = op.one_of(keys) })
                local fay, inserted = users:upsert { name = "Fay", age = 9 }
                assert.same({ key, 9, false }, { fay.id, fay.age, inserted })
                assert.same(2, #users:upsert_many { { name = "Fay", age = 8 }, { name = "Ira", age = 1 } })
                assert.equal(users, users:detach(fay))
                assert.is_false(em:contains(fay))
                raises("validation", function() users:update_where({ name = "Ira" }, { kind = "x" }) end, "User.kind")
            end)
        end)

        it("has the rest of the entity manager's methods", function()
            local em = orm.em():fork()
            local users = em:repository(User)
            local got = { users:transactional(function(tx)
                assert.is_true(users:in_transaction())
                tx:insert(User, { name = "Tia" })
                return "a", nil, "c"
            end) }
            assert.same({ "a", "c", 4 }, { got[1], got[3], users:count {} })
            users:begin()
            users:insert { name = "Uma" }
            users:rollback()
            assert.same(4, users:count {})
            local ann = users:find_one { name = "Ann" }
            assert.is_false(orm.is_error(ann))
            users:load(ann, { "books" })
            assert.same(0, #ann.books)
            assert.same("4", tostring(users:execute("select count(*) as n from users")[1].n))
            users:clear()
            assert.is_false(users:contains(ann))
            assert.equal("Book", em:repository(User):repository(Book).entity == Book and "Book")
            assert.is_nil(users.unheard_of)
        end)

        it("has its entity's own methods, which stand in front of the entity manager's", function()
            each_way(function(users)
                assert.same("Ann", names(users:adults()))
                assert.same("Ann", names(users:adults { limit = 1 }))
                assert.same("Cleo Ben Ann", names(users:find_all()))
                assert.same("Ann Ben Cleo", names(users:find_all { order_by = { "name" } }))
                assert.same({ 3, 1, 3 }, { select(2, users:own(1, nil, 3)), (select(3, users:own(1))),
                    (select(5, users:own(1, 2, 3))) })
                -- "own" twice: a method's name is nobody else's.
                assert.same(2, (select(2, users:own(nil, nil))))
                local ok, err = pcall(users.fails, users)
                assert.same({ false, true }, { ok, err.mine })
            end)
        end)

        it("inherits the methods of the entity that its own extends", function()
            local admins = orm.em():fork():repository(Admin)
            assert.same("Cleo", names(admins:adults()))
            assert.same("Cleo", names(admins:find_all()))
            assert.same("Cleo", admins:highest().name)
            assert.equal(Admin, (admins:own()))
            assert.same(1, admins:count {})
            assert.is_nil(orm.repository(User).highest)
            assert.is_nil(orm.repository(Book).adults)
        end)

        it("acts on the entity manager in force, where it was asked for by name", function()
            local users = orm.repository(User)
            local outside = users:find_one { name = "Ann" }
            orm.request_context(function()
                local inside = users:find_one { name = "Ann" }
                assert.equal(inside, orm.get_context():find_one(User, inside.id))
                assert.not_equal(outside, inside)
                users:transactional(function(tx)
                    assert.is_true(users:in_transaction())
                    assert.equal(tx:find_one(User, inside.id), users:find_one(inside.id))
                    users:insert { name = "Zoe" }
                    local ok = pcall(users.transactional, users, function()
                        users:insert { name = "Xia" }
                        error "undone"
                    end)
                    assert.is_false(ok)
                end)
                assert.same({ 1, 0 }, { users:count { name = "Zoe" }, users:count { name = "Xia" } })
            end)
            assert.equal(outside, users:find_one(outside.id))
            local fixed = orm.em():fork():repository(User)
            orm.request_context(function()
                assert.not_equal(fixed:find_one(outside.id), users:find_one(outside.id))
            end)
        end)

        it("asked for by a name it follows that name, whatever it comes to be", function()
            local users = orm.repository "User"
            assert.same("Ann", names(users:adults()))
            orm.close()
            raises("context_not_found", function() users:find_all() end)
            local Other = orm.entity { name = "User", table = "others", { "id", type = "integer", primary = true },
                repository = { which = function() return "other" end } }
            orm.init(db:config { entities = { Other } }).schema:create()
            assert.same("other", users:which())
            assert.is_nil(users.adults)
            assert.same({}, users:find_all())
        end)

        it("says what is wrong", function()
            local em = orm.em():fork()
            raises("entity_not_registered", function() em:repository "Usr" end, "Usr")
            raises("entity_not_registered", function() em:repository(nil) end)
            raises("entity_not_registered", function() em:repository {} end)
            raises("entity_not_registered", function() orm.repository("Usr"):find {} end, "Usr")
            raises("entity_not_registered", function() orm.repository(nil):find {} end)
            raises("context_not_found", function() orm.repository(User, "secondry"):find_all() end, "secondry")
            raises("validation", function() em:repository(User).find {} end, "':'")
            raises("validation", function() em:repository(User).flush() end, "':'")
            raises("validation", function() em:repository(User).persist("x") end, "':'")
            for _, name in ipairs { "em", "entity" } do
                raises("metadata", function()
                    orm.entity { name = "E", { "id", type = "integer" }, repository = { [name] = function() end } }
                end, "repository", name)
            end
            assert.same("repository<User, default>", tostring(orm.repository "User"))
        end)
    end)
end)
