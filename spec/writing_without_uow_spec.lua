-- insert, insert_many, update_where and delete_where: what they write, count, and leave alone.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local op = orm.op
local raises, sent_by = expect.raises, expect.sent_by

local called

local Team = orm.entity {
    name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "city", type = "string", nullable = true },
}
local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", length = 20, unique = true },
    { "score", type = "integer", default = 10 },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "status", type = "string", default_sql = "'fresh'" },
    { "seen", type = "timestamp", nullable = true, on_create = function() return 1000 end },
    { "code", type = "uuid", nullable = true },
    { "doc", type = "json", nullable = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "team", many_to_one = Team, nullable = true },
    { "version", type = "integer", version = true },
    hooks = (function()
        local hooks = {}
        for _, event in ipairs { "on_init", "on_load", "before_create", "after_create", "before_update", "after_update",
            "before_delete", "after_delete" } do
            hooks[event] = function() called[#called + 1] = event end
        end
        return hooks
    end)(),
}
local Seat = orm.entity {
    name = "Seat",
    { "row", type = "string", length = 2, primary = true },
    { "number", type = "integer", primary = true },
    { "user", many_to_one = User, nullable = true },
}

databases.each(function(db)
    describe("writing without the unit of work", function()
        local instance, em, sent

        before_each(function()
            called = {}
            instance = orm.init(db:config { entities = { Team, User, Seat } })
            instance.schema:create()
            em = orm.em():fork()
            em:insert_many(Team, { { name = "core", city = "Graz" }, { name = "edge" } })
            sent = expect.statements(instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function rows(columns, where)
            return db:raw():rows(("select %s from users %s order by id"):format(columns, where or ""))
        end

        local function three()
            return em:insert_many(User, { { name = "Ann", team = 1 }, { name = "Ben", team = 1, score = 20 },
                { name = "Cleo" } })
        end

        it("insert gives the key and writes defaults of both kinds, on_create included", function()
            local list, key = sent_by(sent, function() return em:insert(User, { name = "Ann", price = "1.5" }) end)
            assert.equal(1, key)
            assert.equal(1, #list)
            assert.same({ { "Ann", "10", "1.50", "fresh", "1", false } },
                rows "name, score, cast(price as text), status, version, team_id")
            assert.equal(1000, em:find_one(User, 1).seen)
            assert.equal(7, em:insert(User, { id = 7, name = "own key", status = "given", password = "p" }))
            assert.same({ { "given", "p" } }, rows("status, password", "where id = 7"))
            local seat = em:insert(Seat, { row = "A", number = 1, user = 7 })
            assert.same({ "A", 1 }, seat)
            assert.equal("em<default: 1 managed>", tostring(em)) -- what find_one read
            assert.same({ "on_load" }, called)
        end)

        it("insert_many gives the keys in the order of the list, in few statements, with gaps in the data", function()
            local data = {}
            for i = 1, 2500 do
                data[i] = { name = "n" .. i, score = i % 2 == 0 and i or nil, status = i % 3 == 0 and "set" or nil }
            end
            local list, keys = sent_by(sent, function() return em:insert_many(User, data) end)
            assert.equal(2500, #keys)
            assert.is_true(#list < 60, #list .. " statements")
            for i = 1, 2500, 7 do
                local row = rows("name, score, status", "where id = " .. ("%d"):format(keys[i]))[1]
                assert.same({ "n" .. i, tostring(i % 2 == 0 and i or 10), i % 3 == 0 and "set" or "fresh" }, row)
            end
            assert.same({}, em:insert_many(User, {}))
            assert.same({}, called)
        end)

        it("F1: a list with one bad row writes none, and says which property", function()
            raises("validation", function() em:insert_many(User, { { name = "ok" }, { name = {} } }) end, "User.name")
            raises("validation", function() em:insert_many(User, { { name = "ok" }, { score = 1 } }) end, "User.name")
            raises("unique_violation", function() em:insert_many(User, { { name = "x" }, { name = "x" } }) end, "User")
            raises("unknown_property", function() em:insert_many(User, { { name = "x", nmae = 1 } }) end, "'name'")
            raises("validation", function() em:insert_many(User, { "x" }) end, "User")
            raises("validation", function() em:insert_many(User, nil) end, "insert_many", "User")
            raises("validation", function() em:insert(User, nil) end, "User.name")
            raises("validation", function() em:insert(User, User { name = "x" }) end, "User")
            raises("foreign_key_violation", function() em:insert(User, { name = "x", team = 77 }) end)
            raises("entity_not_registered", function() em:insert("Usr", {}) end, "'Usr'")
            assert.equal("0", db:raw():value "select count(*) from users")
            assert.equal(1, #em:insert_many(User, { { name = "and on it goes" } }))
        end)

        it("update_where counts its rows, counts versions on and runs no hooks", function()
            three()
            assert.equal(2, em:update_where(User, { team = 1 }, { score = 5, doc = { a = { 1 } } }))
            assert.same({ { "Ann", "5", "2" }, { "Ben", "5", "2" }, { "Cleo", "10", "1" } },
                rows "name, score, version")
            assert.equal(0, em:update_where(User, { name = "nobody" }, { score = 1 }))
            assert.equal(1, em:update_where(User, { id = 3 }, { version = 9 }))
            assert.equal("9", rows("version", "where id = 3")[1][1])
            assert.equal(1, em:update_where(User, 3, { name = "Cleopatra" }))
            assert.equal(3, em:update_where(User, {}, { seen = "1970-01-01T00:00:01Z" }, { all = true }))
            assert.equal(1, em:find_one(User, 2).seen)
            called = {}
            assert.equal(1, #sent_by(sent, function() return em:update_where(User, { id = 1 }, { score = 1 }) end))
            assert.same({}, called)
        end)

        it("F2: whoever read the rows before update_where notices", function()
            three()
            local other = em:fork()
            local ann = other:find_one(User, 1)
            em:update_where(User, { id = 1 }, { score = 99 })
            ann.score = 1
            raises("optimistic_lock", function() other:flush() end, "User#1")
            assert.equal("99", rows("score", "where id = 1")[1][1])
        end)

        it("update_where takes NULL, expressions, keys and entities as values", function()
            three()
            assert.equal(3, em:update_where(User, {}, { score = op.raw("score * ? + 1", 2), price = "1.5" },
                { all = true }))
            assert.same({ { "21" }, { "41" }, { "21" } }, rows "score")
            assert.equal(1, em:update_where(User, { name = "Ann" },
                { price = orm.null, team = orm.null, seen = orm.null }))
            assert.same({ { false, false, false } }, rows("price, team_id, seen", "where id = 1"))
            local edge = em:find_one(Team, 2)
            assert.equal(1, em:update_where(User, { id = 1 }, { team = edge, name = op.raw("upper(name)") }))
            assert.same({ { "ANN", "2" } }, rows("name, team_id", "where id = 1"))
            assert.equal(1, em:update_where(User, { id = 1 }, { code = "0F8FAD5B-D9CB-469F-A165-70867728950E" }))
            assert.equal("0f8fad5b-d9cb-469f-a165-70867728950e", em:find_one(User, 1).code)
            local function refused(kind, data, ...)
                raises(kind, function() em:update_where(User, { id = 1 }, data) end, ...)
            end
            refused("validation", { name = orm.null }, "User.name", "NULL")
            refused("validation", { score = "many" }, "User.score")
            refused("validation", { score = op.gt(1) }, "User.score")
            refused("validation", { name = ("x"):rep(21) }, "User.name")
            refused("validation", { team = { name = "x" } }, "User.team")
            refused("validation", {}, "User")
            refused("validation", nil, "User")
            refused("unknown_property", { scroe = 1 }, "'score'")
            refused("unique_violation", { name = "Ben" }, "User.name")
            raises("unknown_property", function() em:update_where(User, 1, { score = 1 }, { al = true }) end, "all")
        end)

        it("filters that reach into relations work in both, and so do composite keys", function()
            three()
            em:insert_many(Seat, { { row = "A", number = 1, user = 1 }, { row = "A", number = 2, user = 3 },
                { row = "B", number = 1 } })
            assert.equal(2, em:update_where(User, { team = { city = "Graz" } }, { score = 1 }))
            assert.equal(1, em:update_where(User, op.negate { team = op.not_null() }, { score = 2 }))
            assert.same({ { "1" }, { "1" }, { "2" } }, rows "score")
            assert.equal(1, em:update_where(Seat, { user = { team = { name = "core" } } }, { user = orm.null }))
            assert.equal(1, em:delete_where(Seat, { user = { name = "Cleo" } }))
            assert.equal(2, em:delete_where(Seat, op.one_of { { "A", 1 }, { "B", 1 }, { "C", 1 } }))
            assert.equal("0", db:raw():value "select count(*) from seat")
            assert.equal(2, em:delete_where(User, { team = { name = op.like "c%" } }))
            assert.same({ { "Cleo" } }, rows "name")
            assert.same({}, called)
        end)

        it("delete_where counts, and a constraint names itself", function()
            three()
            assert.equal(0, em:delete_where(User, { name = "nobody" }))
            assert.equal(1, em:delete_where(User, { score = op.gt(15) }))
            raises("foreign_key_violation", function() em:delete_where(Team, { id = 1 }) end)
            assert.equal(2, em:delete_where(User, {}, { all = true }))
            assert.equal(2, em:delete_where(Team, op.one_of { 1, 2 }))
            assert.same({}, called)
        end)

        it("C2: inside a transaction they are part of it, and a failing one leaves it usable", function()
            em:transactional(function(tx)
                tx:insert(User, { name = "kept" })
                assert.has_error(function() tx:insert(User, { name = "kept" }) end)
                tx:insert(User, { name = "too" })
                assert.has_error(function()
                    tx:transactional(function(inner)
                        inner:insert(User, { name = "lost" })
                        inner:update_where(User, { name = "kept" }, { score = 0 })
                        inner:delete_where(User, { name = "too" })
                        error "undo"
                    end)
                end)
                tx:update_where(User, { name = "too" }, { score = 3 })
            end)
            assert.same({ { "kept", "10" }, { "too", "3" } }, rows "name, score")
            assert.has_error(function()
                em:transactional(function(tx)
                    tx:insert(User, { name = "gone" })
                    tx:delete_where(User, { name = "kept" })
                    error "undo"
                end)
            end)
            assert.equal(2, #rows "name")
        end)

        it("listeners of flushes hear nothing of them", function()
            local heard = {}
            for _, event in ipairs { "before_flush", "after_flush", "after_commit" } do
                instance:on(event, function() heard[#heard + 1] = event end)
            end
            em:insert(User, { name = "Ann" })
            em:update_where(User, { id = 1 }, { score = 1 })
            em:delete_where(User, { id = 1 })
            assert.same({}, heard)
            assert.equal(0, #called)
        end)
    end)
end)
