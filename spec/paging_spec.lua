-- find_by_cursor: what a page is, what it costs, and what is no cursor.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local op = orm.op
local raises, sent_by = expect.raises, expect.sent_by

local Team = orm.entity {
    name = "Team",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "users", one_to_many = "User", mapped_by = "team" },
}
local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", nullable = true },
    { "age", type = "integer", nullable = true },
    { "notes", type = "json", nullable = true },
    { "words", type = "array", array_of = "string", nullable = true },
    { "team", many_to_one = Team, nullable = true },
}
local Upper = orm.type {
    column = "string",
    to_db = function(value) return value:upper() end,
    from_db = function(value) return value:lower() end,
}
local Word = orm.entity {
    name = "Word",
    { "text", type = Upper, primary = true },
    { "stamp", type = "timestamp", as = "iso8601" },
}

local function names(page)
    local list = {}
    for i, user in ipairs(page.items) do list[i] = user.name or "-" end
    return table.concat(list, " ")
end

databases.each(function(db)
    describe("find_by_cursor", function()
        local instance, em

        before_each(function()
            instance = orm.init(db:config { entities = { Team, User, Word } })
            instance.schema:create()
            em = orm.em():fork()
            local team = em:create(Team, { name = "core" })
            for i, name in ipairs { "Ann", "Ben", "Cleo", "Dan", "Eve" } do
                local age = i ~= 3 and i % 2 or nil
                em:persist(em:create(User, { name = name, age = age, team = i < 3 and team or nil }))
            end
            em:flush()
            em:clear()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("gives a page, what is around it, and cursors", function()
            local page = em:find_by_cursor(User, {}, { order_by = { "name" }, first = 2 })
            assert.same("Ann Ben", names(page))
            assert.same({ true, false }, { page.has_next, page.has_prev })
            assert.is_nil(page.total)
            local second = em:find_by_cursor(User, {}, { order_by = { "name" }, first = 2, after = page.end_cursor })
            assert.same("Cleo Dan", names(second))
            assert.same({ true, true }, { second.has_next, second.has_prev })
            local last = em:find_by_cursor(User, {}, { order_by = { "name" }, first = 2, after = second.end_cursor })
            assert.same("Eve", names(last))
            assert.same({ false, true }, { last.has_next, last.has_prev })
            local back = em:find_by_cursor(User, {}, { order_by = { "name" }, last = 2, before = last.start_cursor })
            assert.same("Cleo Dan", names(back))
            assert.same({ true, true }, { back.has_next, back.has_prev })
            assert.same(second.start_cursor, back.start_cursor)
        end)

        it("the last ones need no cursor, and a page may lie between two", function()
            assert.same("Dan Eve", names(em:find_by_cursor(User, {}, { order_by = { "name" }, last = 2 })))
            local all = em:find_by_cursor(User, {}, { order_by = { "name" } })
            assert.same({ 5, false, false }, { #all.items, all.has_next, all.has_prev })
            local between = em:find_by_cursor(User, {}, { order_by = { "name" }, first = 9,
                after = all.start_cursor, before = all.end_cursor })
            assert.same("Ben Cleo Dan", names(between))
            assert.same({ true, true }, { between.has_next, between.has_prev })
        end)

        it("a page beyond the end is empty and has no cursors", function()
            local all = em:find_by_cursor(User, {}, { order_by = { "name" } })
            local page = em:find_by_cursor(User, {}, { order_by = { "name" }, first = 2, after = all.end_cursor })
            assert.same({ {}, false, true }, { page.items, page.has_next, page.has_prev })
            assert.is_nil(page.start_cursor or page.end_cursor)
        end)

        it("NULLs have a place: age desc, nulls last, ties by key", function()
            local order, cursor, all = { "age desc nulls last" }, nil, {}
            repeat
                local page = em:find_by_cursor(User, {}, { order_by = order, first = 1, after = cursor })
                all[#all + 1], cursor = names(page), page.end_cursor
            until not page.has_next
            assert.same("Ann Eve Ben Dan Cleo", table.concat(all, " "))
        end)

        it("total counts what the filter finds; one statement a page, two with the total", function()
            local where = { name = op.gt "A" }
            local sent = expect.statements(instance)
            assert.same(1, #sent_by(sent, function() em:find_by_cursor(User, where, { first = 2 }) end))
            local list, page = sent_by(sent, function()
                return em:find_by_cursor(User, where, { first = 2, count = true })
            end)
            assert.same(2, #list)
            assert.same({ 2, 5 }, { #page.items, page.total })
        end)

        it("takes what a find takes: populate, fields, managed, repositories; items are managed", function()
            local page = em:find_by_cursor(User, { age = 1 }, { first = 1, populate = { "team" } })
            assert.same("core", page.items[1].team.name)
            assert.equal(em:find_one(User, page.items[1].id), page.items[1])
            local partial = orm.em():fork():find_by_cursor(User, {}, { first = 1, order_by = { "age" },
                fields = { "name" } })
            assert.same("Ben", partial.items[1].name)
            raises("not_loaded", function() return partial.items[1].age end)
            local plain = em:repository(User):find_by_cursor({}, { last = 1, managed = false })
            assert.same("Eve", names(plain))
            assert.is_false(em:contains(plain.items[1]))
        end)

        it("a cursor holds what the row held, not what was changed in memory", function()
            em.flush_mode = "commit"
            local ann = em:find_one(User, { name = "Ann" })
            ann.name = "Zoe"
            local page = em:find_by_cursor(User, {}, { order_by = { "name" }, first = 1 })
            assert.equal(ann, page.items[1])
            local rest = em:find_by_cursor(User, {}, { order_by = { "name" }, first = 9, after = page.end_cursor })
            assert.same("Ben Cleo Dan Eve", names(rest))
        end)

        it("orders through relations, custom types and as", function()
            local page = em:find_by_cursor(User, {}, { order_by = { "team.name", "name desc" }, first = 3 })
            assert.same("Ben Ann Eve", names(page))
            local next_one = em:find_by_cursor(User, {}, { order_by = { "team.name", "name desc" }, first = 9,
                after = page.end_cursor })
            assert.same("Dan Cleo", names(next_one))
            for _, word in ipairs { { "b", 1.5 }, { "a", 1.5 }, { "c", 0 } } do
                em:insert(Word, { text = word[1], stamp = word[2] })
            end
            local order, texts, cursor = { "stamp desc" }, {}, nil
            repeat
                local words = em:find_by_cursor(Word, {}, { order_by = order, first = 1, after = cursor })
                texts[#texts + 1], cursor = words.items[1].text, words.end_cursor
            until not words.has_next
            assert.same({ "a", "b", "c" }, texts)
        end)

        it("changes that are pending are flushed before", function()
            em:persist(em:create(User, { name = "Aaa" }))
            assert.same("Aaa", names(em:find_by_cursor(User, {}, { order_by = { "name" }, first = 1 })))
        end)

        it("a cursor is one that a page of this order gave, or validation", function()
            local page = em:find_by_cursor(User, {}, { order_by = { "name" }, first = 1 })
            for _, text in ipairs { "", "x", "AAAA", "e30", page.end_cursor:sub(2), page.end_cursor .. "A", "a b", "\0",
                ("A"):rep(100000) } do
                raises("validation", function()
                    em:find_by_cursor(User, {}, { order_by = { "name" }, after = text })
                end, "cursor")
            end
            for _, value in ipairs { 7, true, {}, op.gt(1) } do
                raises("validation", function() em:find_by_cursor(User, {}, { before = value }) end, "cursor")
            end
            raises("validation", function()
                em:find_by_cursor(User, {}, { order_by = { "name desc" }, after = page.end_cursor })
            end, "another entity or order")
            raises("validation", function()
                em:find_by_cursor(Team, {}, { order_by = { "name" }, after = page.end_cursor })
            end, "another entity or order")
        end)

        it("a forged value is bound, checked by its column, and nothing else", function()
            local cursor = require "heddle.cursor"
            local page = em:find_by_cursor(User, {}, { order_by = { "age" }, first = 1 })
            local map = instance.mappings.by_name.User
            local _, _, order = require "heddle.paging".plan(map, {}, { order_by = { "age" } })
            assert.is_table(cursor.read(page.end_cursor, order.fingerprint, 2))
            for _, value in ipairs { "1 or 1=1", "'", 1.5, true, 1e300, 0 / 0 } do
                local text = cursor.write(order.fingerprint, { value, 1 }, 2)
                raises("validation", function()
                    em:find_by_cursor(User, {}, { order_by = { "age" }, after = text })
                end)
            end
            raises("validation", function()
                em:find_by_cursor(User, {}, { order_by = { "age" }, after = cursor.write(order.fingerprint, { 1 }, 1) })
            end)
        end)

        it("Q4: a value may be as long as it likes", function()
            for i = 1, 3 do em:persist(em:create(User, { name = ("z"):rep(100000), age = i })) end
            em:flush()
            local ages, cursor = {}, nil
            repeat
                local page = em:find_by_cursor(User, { name = op.starts_with "z" }, { order_by = { "name", "age" },
                    first = 1, after = cursor })
                ages[#ages + 1], cursor = page.items[1].age, page.end_cursor
            until not page.has_next
            assert.same({ 1, 2, 3 }, ages)
        end)

        it("sizes and options that make no sense are refused", function()
            for _, size in ipairs { 0, -1, 1.5, "2", 1e300, true } do
                raises("validation", function() em:find_by_cursor(User, {}, { first = size }) end, "first")
                raises("validation", function() em:find_by_cursor(User, {}, { last = size }) end, "last")
            end
            raises("validation", function() em:find_by_cursor(User, {}, { first = 1, last = 1 }) end, "not both")
            raises("validation", function() em:find_by_cursor(User, {}, { limit = 1 }) end, "limit")
            raises("validation", function() em:find_by_cursor(User, {}, { offset = 1 }) end, "offset")
            raises("validation", function() em:find(User, {}, { first = 1 }) end, "find_by_cursor")
            raises("validation", function() em:find_by_cursor(User, nil, { first = 1 }) end)
            raises("validation", function() em:find_by_cursor(User, {}, { order_by = { "notes" } }) end, "json")
            raises("validation", function() em:find_by_cursor(User, {}, { order_by = { "words" } }) end, "array")
            raises("unknown_property", function() em:find_by_cursor(User, {}, { order_by = { "nmae" } }) end, "name")
            raises("unknown_property", function() em:find_by_cursor(User, {}, { frist = 1 }) end, "first")
        end)

        it("Q4: a page deep in a table reads its rows and no others", function()
            local rows = {}
            for i = 1, 3000 do rows[i] = { name = "n" .. i } end
            em:insert_many(User, rows)
            local page = em:find_by_cursor(User, {}, { first = 2900 })
            local plan, params = require "heddle.paging".plan(instance.mappings.by_name.User, {}, { first = 10,
                after = page.end_cursor })
            local raw = db:raw()
            if db.name == "postgres" then raw:exec "analyze users" end
            local text = plan.sql:gsub("[$?](%d+)", function(i) return tostring(params[tonumber(i)]) end)
            local lines = raw:rows((db.name == "postgres" and "explain " or "explain query plan ") .. text)
            local said = {}
            for _, line in ipairs(lines) do said[#said + 1] = table.concat(line, " ") end
            said = table.concat(said, "\n")
            if db.name == "postgres" then
                assert.truthy(said:find("Index Cond", 1, true), said)
            else
                assert.truthy(said:find("SEARCH", 1, true), said)
            end
            assert.is_nil(said:find("Sort", 1, true))
            assert.is_nil(said:find("TEMP B%-TREE"))
        end)
    end)
end)
