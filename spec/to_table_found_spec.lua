-- orm.to_table in places where it is easily wrong: dense and deep graphs, open entities, what is neither NULL nor a
-- value, lists with holes, paths that lead nowhere.

local cjson = require "cjson"
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

local Person = orm.entity {
    name = "Person",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
    { "ratio", type = "double", nullable = true },
    { "notes", type = "json", nullable = true },
    { "boss", many_to_one = "Person", nullable = true },
    { "staff", one_to_many = "Person", mapped_by = "boss" },
    { "friends", many_to_many = "Person" },
}
local Loose = orm.entity {
    name = "Loose", open = true,
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
}

databases.each(function(db)
    describe("orm.to_table", function()
        local em

        before_each(function()
            orm.init(db:config { entities = { Person, Loose } }).schema:create()
            em = orm.em():fork()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("populate = true is as large as the graph, where everybody knows everybody", function()
            local all = {}
            for i = 1, 40 do all[i] = em:create(Person, { id = i, name = "p" .. i }) end
            for _, each in ipairs(all) do each.friends = all end
            em:persist(all[1]):flush()
            em:clear()
            local first = em:find_one(Person, { id = 1 }, { populate = { "friends.friends" } })
            local got = orm.to_table(first, { populate = true })
            assert.same(40, #got.friends)
            local keys, named = 0, 0
            for _, friend in ipairs(got.friends) do
                if friend == 1 then
                    keys = keys + 1
                else
                    assert.same("p" .. friend.id, friend.name)
                    for _, key in ipairs(friend.friends) do assert.is_number(key) end
                    named = named + 1
                end
            end
            assert.same({ 1, 39 }, { keys, named })
        end)

        it("populate = true gives an instance in full wherever it is nearest to the top, and its key below", function()
            local top = em:create(Person, { id = 1 })
            local left, right = em:create(Person, { id = 2, boss = top }), em:create(Person, { id = 3, boss = top })
            local shared = em:create(Person, { id = 4, name = "shared" })
            left.friends, right.friends, shared.friends = { shared }, { shared }, { left }
            em:persist(top, shared):flush()
            em:clear()
            local got = orm.to_table(em:find_one(Person, { id = 1 }, { populate = { "staff.friends.friends" },
                order_by = { "id" } }), { populate = true })
            assert.same({ "shared", "shared" }, { got.staff[1].friends[1].name, got.staff[2].friends[1].name })
            assert.same({ 2 }, got.staff[1].friends[1].friends)
            assert.same(1, got.staff[2].boss)
        end)

        it("a chain may be as long as memory", function()
            local count = 3000
            local last
            for i = 1, count do last = em:create(Person, { id = i, boss = last }) end
            local got, depth = orm.to_table(last, { populate = true }), 1
            while type(got.boss) == "table" do got, depth = got.boss, depth + 1 end
            assert.same(count, depth)
            local all = orm.to_table({ last, last.boss }, { populate = { "boss" } })
            assert.same({ count - 1, count - 2 }, { all[1].boss.id, all[2].boss.id })
        end)

        it("nulls = true says NULL of nothing that is none: a new row's key, SQL to come, NaN", function()
            local boss = em:create(Person, { name = "new" })
            local e = em:create(Person, { id = 7, boss = boss, ratio = 0 / 0 })
            e.name = orm.raw "'a' || 'b'"
            assert.same({ id = 7, notes = orm.null, staff = {}, friends = {} }, orm.to_table(e, { nulls = true }))
        end)

        it("an open entity's own values are chosen and left out like others; only text names them", function()
            local e = Loose { id = 1, name = "x", extra = { a = 1 }, secret = "s", [true] = 1 }
            assert.same({ id = 1, extra = { a = 1 } }, orm.to_table(e, { fields = { "id", "extra" } }))
            local got = orm.to_table(e, { exclude = { "secret" } })
            assert.same({ id = 1, name = "x", extra = { a = 1 } }, got)
            assert.is_string(cjson.encode(got))
        end)

        it("keys that JSON has no word for are left out", function()
            local e = Person { notes = { [true] = 1, a = { [print] = 2, b = 3 } } }
            assert.same({ a = { b = 3 } }, orm.to_table(e).notes)
            assert.is_string(cjson.encode(orm.to_table(e)))
        end)

        it("a list with a hole is none, instead of what stands in front of it", function()
            local a, b = em:create(Person, { id = 1 }), em:create(Person, { id = 2 })
            raises("validation", function() orm.to_table { a, nil, b } end, "holes")
            raises("validation", function() orm.to_table { a, name = b } end)
        end)

        it("a path is checked whether somebody stands at its end or not", function()
            em:persist(em:create(Person, { id = 1, notes = { secret = 1 } })):flush()
            em:clear()
            local e = em:find_one(Person, { id = 1 }, { populate = { "staff" } })
            raises("unknown_property", function() orm.to_table(e, { populate = { "staff.frends" } }) end, "friends")
            raises("unknown_property", function() orm.to_table(e, { exclude = { "staff.nmae" } }) end, "name")
            raises("validation", function() orm.to_table(e, { exclude = { "notes.secret" } }) end, "Person.notes")
            raises("validation", function() orm.to_table(e, { fields = { "name.first" } }) end, "Person.name")
            raises("validation", function() orm.to_table(e, { populate = { "*.staff" } }) end, "'*'")
            assert.same({}, orm.to_table(e, { populate = { "staff.friends" } }).staff)
        end)
    end)
end)
