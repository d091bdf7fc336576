-- Keys that are taken, and rows that are not there any more (I4).

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local op = orm.op

local Author = orm.entity {
    name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string", length = 50 },
    { "bio", type = "text", nullable = true },
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

local Word = orm.entity {
    name = "Word", table = "words",
    { "text", type = "text", primary = true },
    { "meaning", type = "text", nullable = true },
}

databases.each(function(db)
    local work, em

    before_each(function()
        work = unit.open(db, { Author, Book, Place, Word })
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

    it("I4: a second instance of a managed key is refused by create and by persist", function()
        em:find_one(Author, 1)
        local err = unit.raises("validation", em.create, em, Author, { id = 1, name = "again" })
        assert.equal("Author", err.entity)
        assert.equal("id", err.property)
        unit.raises("validation", em.create, em, Author, { id = "1", name = "again" })
        unit.raises("validation", em.create, em, Author, { id = 1.0, name = "again" })
        unit.raises("validation", em.persist, em, Author { id = 1, name = "again" })
        local new = em:create(Author, { id = 50, name = "new" })
        em:persist(new)
        unit.raises("validation", em.create, em, Author, { id = 50, name = "again" })
        em:get_reference(Author, 60)
        unit.raises("validation", em.create, em, Author, { id = 60, name = "again" })
        em:find_one(Place, { "at", 1 })
        unit.raises("validation", em.create, em, Place, { country = "at", code = 1 })
        em:flush()
        assert.equal("1", work.raw:value "select count(*) from authors where id >= 50")
    end)

    it("I4: two unpersisted instances of one key: the second persist is refused", function()
        local a, b = em:create(Word, { text = "x" }), em:create(Word, { text = "x" })
        em:persist(a)
        unit.raises("validation", em.persist, em, b)
        em:flush()
        assert.equal("1", work.raw:value "select count(*) from words where text = 'x'")
    end)

    it("I4: a key that was assigned after persist meets the managed one before any statement", function()
        em:find_one(Word, "a")
        local made = em:create(Word, { text = "b" })
        em:persist(made)
        made.text = "a"
        work:forget()
        local ok, err = pcall(em.flush, em)
        assert.is_false(ok)
        assert.is_true(orm.is_error(err, "validation") or orm.is_error(err, "unique_violation"), tostring(err))
        assert.equal("3", work.raw:value "select count(*) from words")
        made.text = "c"
        em:flush()
        assert.equal(made, em:find_one(Word, "c"))
        assert.is_nil(em:find_one(Word, "b"))
    end)

    it("I4: a reference to a row that is not there, changed and flushed, is not_found", function()
        local nobody = em:get_reference(Author, 404)
        nobody.name = "X"
        local err = unit.raises("not_found", em.flush, em)
        assert.equal("Author", err.entity)
        assert.equal("2", work.raw:value "select count(*) from authors")
    end)

    it("I4: a reference to a row that is there can be changed without reading it", function()
        em:get_reference(Author, 2).name = "Rob"
        work:forget()
        em:flush()
        assert.equal(0, #work:statements "^SELECT")
        local rows = work.raw:rows "select name, bio, mentor_id from authors where id = 2"
        assert.same({ { "Rob", false, "1" } }, rows)
    end)

    it("I4: an update of a row that vanished is not_found, or optimistic_lock with a version", function()
        local bob, book = em:find_one(Author, 2), em:find_one(Book, 12)
        work.raw:exec "delete from books where id = 12"
        work.raw:exec "delete from authors where id = 2"
        bob.name = "Rob"
        local err = unit.raises("not_found", em.flush, em)
        assert.equal("Author", err.entity)
        em:detach(bob)
        book.title = "D"
        err = unit.raises("optimistic_lock", em.flush, em)
        assert.equal("Book", err.entity)
    end)

    it("I4: a delete of a row that vanished is not_found, or optimistic_lock with a version", function()
        local bob, book = em:find_one(Author, 2), em:find_one(Book, 12)
        work.raw:exec "delete from books where id = 12"
        work.raw:exec "delete from authors where id = 2"
        em:remove(bob)
        unit.raises("not_found", em.flush, em)
        em:detach(bob)
        em:remove(book)
        unit.raises("optimistic_lock", em.flush, em)
    end)

    it("I4: one vanished row among a hundred is named, and nothing is written", function()
        local rows = {}
        for i = 1, 100 do rows[i] = ("(%d, 'n')"):format(100 + i) end
        work.raw:exec("insert into authors (id, name) values " .. table.concat(rows, ","))
        local all = em:find(Author, { id = op.gt(100) }, { order_by = { "id" } })
        work.raw:exec "delete from authors where id = 137"
        for _, e in ipairs(all) do e.name = "changed" end
        local err = unit.raises("not_found", em.flush, em)
        assert.is_truthy(tostring(err):find("137", 1, true))
        assert.equal("0", work.raw:value "select count(*) from authors where name = 'changed'")
        em:detach(all[37])
        em:flush()
        assert.equal("99", work.raw:value "select count(*) from authors where name = 'changed'")
    end)

    it("I4: removed and created again under one key in one flush", function()
        local old = em:find_one(Word, "a")
        em:remove(old)
        assert.is_nil(em:find_one(Word, "a"))
        local new = em:create(Word, { text = "a" })
        em:persist(new)
        em:flush()
        assert.same({ { "a", false } }, work.raw:rows "select text, meaning from words where text = 'a'")
        assert.equal(new, em:find_one(Word, "a"))
        assert.is_true(em:contains(new))
        assert.is_false(em:contains(old))
        new.meaning = "later"
        em:flush()
        assert.equal("later", work.raw:value "select meaning from words where text = 'a'")
    end)

    it("I4: a removed entity is not found by key, and after the flush not at all", function()
        local ann = em:find_one(Word, "a")
        em:remove(ann)
        work:forget()
        assert.is_nil(em:find_one(Word, "a"))
        assert.equal(0, #work.log)
        unit.raises("not_found", em.find_one_or_fail, em, Word, "a")
        assert.same({}, em:find(Word, { meaning = "one" }))
        assert.equal("2", work.raw:value "select count(*) from words")
        assert.is_nil(em:find_one(Word, "a"))
        assert.is_false(em:contains(ann))
    end)
end)
