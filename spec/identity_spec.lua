-- The identity map: one row is one table (I1), found by its key without SQL (I2).

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local op = orm.op
local doubles = not math.type

local Author = orm.entity {
    name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string", length = 50 },
    { "bio", type = "text", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "settings", type = "json", nullable = true },
    { "mentor", many_to_one = "Author", nullable = true },
}

local Book = orm.entity {
    name = "Book", table = "books",
    { "id", type = "bigint", primary = true, autoincrement = false },
    { "title", type = "string" },
    { "author", many_to_one = "Author" },
    { "version", type = "integer", version = true },
}

local Place = orm.entity {
    name = "Place", table = "places",
    { "country", type = "string", length = 2, primary = true },
    { "code", type = "integer", primary = true },
    { "label", type = "string", nullable = true },
}

local Visit = orm.entity {
    name = "Visit", table = "visits",
    { "id", type = "uuid", primary = true },
    { "place", many_to_one = "Place" },
}

local Word = orm.entity {
    name = "Word", table = "words",
    { "text", type = "text", primary = true },
    { "meaning", type = "text", nullable = true },
}

local Odd = orm.entity {
    name = "Odd", table = "odds",
    { "day", type = "date", primary = true },
    { "flag", type = "boolean", primary = true },
    { "bytes", type = "blob", primary = true },
    { "price", type = "decimal", precision = 8, scale = 2, primary = true },
    { "at", type = "timestamp", primary = true },
    { "label", type = "string", nullable = true },
}

databases.each(function(db)
    local work, em

    before_each(function()
        work = unit.open(db, { Author, Book, Place, Visit, Word, Odd })
        em = work.em
        local raw = work.raw
        raw:exec "insert into authors (id, name, bio, mentor_id) values (1, 'Ann', 'x', null), (2, 'Bob', null, 1)"
        raw:exec [[insert into books (id, title, author_id, version)
            values (10, 'A', 1, 1), (11, 'B', 1, 1), (12, 'C', 2, 1)]]
        raw:exec "insert into places values ('at', 1, 'Graz'), ('at', 2, 'Linz'), ('de', 1, 'Ulm')"
        raw:exec "insert into words (text, meaning) values ('a', 'one'), ('A', 'two'), ('1', 'digit')"
        if db.name == "postgres" then raw:value "select setval('authors_id_seq', 100)" end
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    describe("one row:", function()
        it("I1: key, filter, relation, populate, refresh and reference give one table", function()
            local by_reference = em:get_reference(Author, 1)
            local book = em:find_one(Book, { title = "A" })
            assert.equal(by_reference, book.author)
            local of_ann = em:find(Book, { author = { name = "Ann" } }, { populate = { "author" } })
            assert.equal(by_reference, of_ann[1].author)
            assert.equal(by_reference, em:find_one(Author, { name = "Ann" }))
            assert.equal(by_reference, em:find_one(Author, 1))
            assert.equal(by_reference, em:find_one(Author, { id = op.one_of { 1 } }))
            assert.equal(by_reference, em:find_all(Author, { order_by = { "id" } })[1])
            assert.equal(by_reference, em:refresh(by_reference))
            assert.equal(by_reference, em:find_one(Author, 2, { populate = { "mentor" } }).mentor)
            assert.equal("Ann", by_reference.name)
            local items = em:find_and_count(Author, { name = "Ann" })
            assert.equal(by_reference, items[1])
        end)

        it("I1: a new instance is the one that a later find gives, generated key included", function()
            local made = em:create(Author, { name = "Cy" })
            em:persist_and_flush(made)
            assert.equal(made, em:find_one(Author, made.id))
            assert.equal(made, em:find_one(Author, { name = "Cy" }))
            assert.equal(made, em:get_reference(Author, made.id))
        end)

        it("I1: composite keys, as list, by name and through a relation", function()
            local linz = em:find_one(Place, { "at", 2 })
            assert.equal("Linz", linz.label)
            assert.equal(linz, em:find_one(Place, { country = "at", code = 2 }))
            assert.equal(linz, em:find_one(Place, { label = "Linz" }))
            assert.equal(linz, em:get_reference(Place, { "at", 2 }))
            assert.equal(linz, em:get_reference(Place, { code = 2, country = "at" }))
            local visit = em:create(Visit, { id = "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", place = { "at", 2 } })
            assert.equal(linz, visit.place)
            em:persist_and_flush(visit)
            assert.same({ { "at", "2" } }, work.raw:rows "select place_country, place_code from visits")
            local fresh = em:fork():find_one(Visit, visit.id)
            assert.is_false(orm.is_initialized(fresh.place))
            fresh = em:fork():find_one(Visit, visit.id, { populate = { "place" } })
            assert.equal("Linz", fresh.place.label)
        end)

        it("I1: text keys differ by case, and a digit is no number", function()
            local lower, upper = em:find_one(Word, "a"), em:find_one(Word, "A")
            assert.are_not.equal(lower, upper)
            assert.equal("one", lower.meaning)
            assert.equal("two", upper.meaning)
            assert.equal("digit", em:find_one(Word, "1").meaning)
            assert.equal(lower, em:find_one(Word, { meaning = "one" }))
        end)

        it("I1: a uuid in capitals is the same row", function()
            local visit = em:create(Visit, { id = "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", place = { "at", 1 } })
            em:persist_and_flush(visit)
            work:forget()
            assert.equal(visit, em:find_one(Visit, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"))
            assert.equal(visit, em:find_one(Visit, "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"))
            assert.equal(visit, em:find_one(Visit, { id = "6BA7B810-9dad-11d1-80b4-00c04fd430c8" }))
            assert.equal(0, #work.log)
        end)

        it("I1: keys at the end of 64 bits stay apart", function()
            local raw = work.raw
            raw:exec "insert into books (id, title, author_id, version) values (9223372036854775807, 'max', 1, 1)"
            raw:exec "insert into books (id, title, author_id, version) values (9223372036854775806, 'near', 1, 1)"
            raw:exec "insert into books (id, title, author_id, version) values (-9223372036854775808, 'min', 1, 1)"
            local max = em:find_one(Book, "9223372036854775807")
            local near = em:find_one(Book, "9223372036854775806")
            assert.equal("max", max.title)
            assert.equal("near", near.title)
            assert.equal("min", em:find_one(Book, "-9223372036854775808").title)
            assert.equal(max, em:find_one(Book, { title = "max" }))
            if doubles then
                assert.equal("9223372036854775807", max.id)
            else
                assert.equal("integer", math.type(max.id))
                assert.equal(max, em:find_one(Book, math.maxinteger))
            end
        end)

        it("I1: keys of every kind: dates, booleans, bytes, decimals, timestamps", function()
            local first = em:create(Odd, {
                day = "2024-02-29", flag = false, bytes = "\0\1", price = "1.5", at = "2023-11-14T22:13:20.5Z",
            })
            em:persist_and_flush(first)
            local key = { "2024-02-29", false, "\0\1", "1.50", 1700000000.5 }
            work:forget()
            assert.equal(first, em:find_one(Odd, key))
            assert.equal(first, em:find_one(Odd, {
                day = key[1], flag = key[2], bytes = key[3], price = "1.5", at = key[5],
            }))
            assert.equal(0, #work.log)
            local other = em:fork()
            local read = other:find_one(Odd, key)
            assert.equal(read, other:find(Odd, {})[1])
            read.label = "x"
            other:flush()
            assert.equal("x", work.raw:value "select label from odds")
            other:remove(read):flush()
            assert.equal("0", work.raw:value "select count(*) from odds")
        end)

        it("I1: a changed key moves the instance", function()
            local word = em:find_one(Word, "a")
            word.text = "b"
            em:flush()
            work:forget()
            assert.equal(word, em:find_one(Word, "b"))
            assert.equal(0, #work.log)
            assert.is_nil(em:find_one(Word, "a"))
            word.meaning = "moved"
            em:flush()
            assert.same({ { "b", "moved" } }, work.raw:rows "select text, meaning from words where meaning = 'moved'")
        end)

        it("I1: on_load is called once for each load, a row that takes the place of a detached one included", function()
            local loaded = {}
            work.instance:on("on_load", function(e) loaded[#loaded + 1] = (e.entity or e).id end)
            em:detach(em:find_one(Author, 1))
            em:find_one(Author, 2)
            em:find(Author, {}, { order_by = { "id" } })
            em:find(Author, {})
            em:get_reference(Place, { "at", 1 })
            em:clear()
            local book = em:find_one(Book, 10)
            em:load(book, { "author" })
            assert.same({ 1, 2, 1, 10, 1 }, loaded)
        end)

        it("I1: two entity managers have two tables of one row", function()
            assert.are_not.equal(em:find_one(Author, 1), em:fork():find_one(Author, 1))
        end)

        it("I1: ten thousand rows, read three ways, are ten thousand tables", function()
            local rows = {}
            for i = 1, 10000 do rows[i] = ("(%d, 'n%d')"):format(100 + i, i) end
            work.raw:exec("insert into authors (id, name) values " .. table.concat(rows, ","))
            local all = em:find(Author, { id = op.gt(100) }, { order_by = { "id" } })
            local back = em:find(Author, { id = op.gt(100) }, { order_by = { "id desc" } })
            assert.equal(10000, #all)
            for i = 1, 10000 do assert.equal(all[i], back[10001 - i]) end
            work:forget()
            for i = 1, 10000, 97 do assert.equal(all[i], em:find_one(Author, 100 + i)) end
            assert.equal(0, #work.log)
        end)
    end)

    describe("by key:", function()
        it("I2: a loaded entity is found by any form of its key without SQL", function()
            local ann = em:find_one(Author, 1)
            work:forget()
            assert.equal(ann, em:find_one(Author, 1))
            assert.equal(ann, em:find_one(Author, { id = 1 }))
            assert.equal(ann, em:find_one(Author, "1"))
            assert.equal(ann, em:find_one(Author, 1.0))
            assert.equal(ann, em:find_one(Author, { id = "1" }))
            assert.equal(ann, em:find_one_or_fail(Author, 1))
            assert.equal(0, #work.log)
        end)

        it("I2: any other filter queries, and gives the managed instance", function()
            local ann = em:find_one(Author, 1)
            work:forget()
            assert.equal(ann, em:find_one(Author, { id = 1, name = "Ann" }))
            assert.equal(ann, em:find_one(Author, { name = "Ann" }))
            assert.equal(ann, em:find_one(Author, { id = op.eq(1) }))
            assert.equal(3, #work.log)
            assert.is_nil(em:find_one(Author, { id = 1, name = "Bob" }))
        end)

        it("I2: a reference is read once, with one statement", function()
            local book = em:find_one(Book, 10)
            assert.is_false(orm.is_initialized(book.author))
            work:forget()
            assert.equal("Ann", em:find_one(Author, 1).name)
            assert.equal(1, #work.log)
            assert.is_true(orm.is_initialized(book.author))
            em:find_one(Author, 1)
            assert.equal(1, #work.log)
        end)

        it("I2: what cannot be a key is refused, not missed", function()
            em:find_one(Author, 1)
            for _, bad in ipairs { "one", "1.5", "01", " 1", "1e0", "", 1.5, 1e300, 0 / 0, 1 / 0 } do
                unit.raises("validation", em.find_one, em, Author, bad)
            end
            unit.raises("validation", em.find_one, em, Author, true)
            unit.raises("validation", em.find_one, em, Author, nil)
            unit.raises("validation", em.find_one, em, Author, "99999999999")
            unit.raises("validation", em.find_one, em, Place, { "at" })
            unit.raises("validation", em.find_one, em, Place, "at")
            unit.raises("validation", em.find_one, em, Place, { "at", 1, 2 })
        end)

        it("I2: a refreshed or locked find does query", function()
            local ann = em:find_one(Author, 1)
            work.raw:exec "update authors set name = 'Anna' where id = 1"
            work:forget()
            assert.equal(ann, em:find_one(Author, 1, { refresh = true }))
            assert.is_true(#work.log > 0)
            assert.equal("Anna", ann.name)
        end)
    end)
end)
