-- em:query: what is selected, by which conditions, in which order; entities, rows and counts.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"

local op, raises = orm.op, expect.raises
local Author, Book, Tag, Track, Enrolment = library.Author, library.Book, library.Tag, library.Track, library.Enrolment

databases.each(function(db)
    describe("query builder", function()
        local work, em

        setup(function()
            work = library.open(db)
        end)

        before_each(function()
            em = work:fork()
            work:forget()
        end)

        teardown(function()
            work:close()
            db:close()
        end)

        local function names(list) return library.names(list) end

        -- What the database says to SQL written by hand.
        local function column(sql)
            local list = {}
            for i, row in ipairs(work.raw:rows(sql)) do list[i] = row[1] end
            return table.concat(list, " ")
        end

        it("gives managed entities: the same instances as find gives, in order, with limit and offset", function()
            local found = em:query(Author, "a"):where { id = op.lt(3) }:order_by("a.name desc"):all()
            assert.equal("Ben Ann", names(found))
            assert.equal(em:find_one(Author, 2), found[1])
            assert.is_true(em:contains(found[2]))
            assert.equal(column "select name from authors order by name desc limit 1 offset 1",
                names(em:query(Author):order_by("name desc"):limit(1):offset(1):all()))
            assert.equal("Ben", em:query(Author):where(2):one().name)
            assert.equal("Ben", em:query(Author):where(em:get_reference(Author, 2)):one().name)
            assert.is_nil(em:query(Author):where { id = 77 }:one())
            assert.is_nil(em:query(Author):limit(0):one())
        end)

        it("takes an entity, its name, a repository, without and with an alias", function()
            assert.equal(3, em:query(Author):count())
            assert.equal(3, em:query("Author", "x"):count())
            assert.equal("Ann", em:repository(Author):query("x"):where { ["x.id"] = 1 }:one().name)
            assert.equal("Ann", em:query(Author):where(op.raw("e0.name = ?", "Ann")):one().name)
            assert.equal("Ann", em:query(Author, "Who"):where(op.raw("\"Who\".name = ?", "Ann")):one().name)
            assert.equal("Ann", em:query(Author, "order"):where { ["order.id"] = 1 }:one().name)
        end)

        it("several conditions all have to hold; names may stand behind an alias, in any and all and negate too",
            function()
            local query = em:query(Book, "b"):where { id = op.lt(4) }:where("b", { title = op.like "A%" })
            assert.equal("A1 A2", names(query:order_by("id"):all()))
            assert.equal("A2", names(query:clone():where { ["b.id"] = op.gt(1) }:all()))
            assert.equal("A1 B", names(em:query(Book, "b"):order_by("id"):where(op.any {
                { ["b.title"] = "A1" }, { title = "B" }, op.all { { id = 1 }, { ["b.id"] = 2 } } }):all()))
            assert.equal("none", names(em:query(Book, "b"):where(op.negate { ["b.id"] = op.lt(4) }):all()))
            assert.equal("A2", names(em:query(Book, "b"):where(op.raw("b.id = ?", 2)):all()))
            assert.equal("A2", names(em:query(Book, "b"):where(op.raw("{alias}.id = ?", 2)):all()))
            assert.equal(4, em:query(Book):where {}:count())
        end)

        it("filters and orders reach over relations as those of find do", function()
            assert.equal("A1 A2", names(em:query(Book, "b"):where { author = { name = "Ann" } }:order_by("id"):all()))
            assert.equal("Ann", names(em:query(Author, "a"):where { books = op.some { title = "A2" } }:all()))
            assert.equal("Ann Cid", names(em:query(Author):where { profile = op.not_null() }:order_by("id"):all()))
            assert.equal("A1 A2", names(em:query(Book, "b"):where { ["author.name"] = "Ann",
                ["b.editor.name"] = op.like "B%" }:order_by("id"):all()))
            local list = em:query(Book, "b"):order_by("b.author.name desc nulls last", "b.id"):all()
            assert.equal(column [[select b.title from books b left join authors a on a.id = b.author_id
                order by a.name desc nulls last, b.id]], names(list))
            assert.equal(names(list), names(em:query(Book):order_by { { ["author.name"] = "desc nulls last" }, "id" }
                :all()))
        end)

        it("NULLs stand where PostgreSQL puts them, on both", function()
            local function order(term)
                return names(em:query(Book, "b"):order_by(term, "b.id"):all())
            end
            assert.equal("A1 A2 B none", order "b.author")
            assert.equal("none B A1 A2", order "b.author desc")
            assert.equal("none A1 A2 B", order "b.author nulls first")
            local list = em:query(Author, "a"):select("name", "b.title"):left_join("books", "b")
                :order_by("b.title desc", "a.id"):rows()
            assert.same({ { name = "Cid" }, { name = "Ben", title = "B" }, { name = "Ann", title = "A2" },
                { name = "Ann", title = "A1" } }, list)
        end)

        it("rows have what is selected, under its names, NULL as an absent field", function()
            assert.same({ { title = "A1", author = 1 }, { title = "none" } },
                em:query(Book, "b"):select("title", "b.author"):where { id = op.one_of { 1, 4 } }:order_by("id"):rows())
            assert.same({ { what = "A1", n = 7 } }, em:query(Book, "b"):where { id = 1 }
                :select { what = "b.title", n = orm.raw("b.id + ?", 6) }:rows())
            assert.same({ { n = 3, Big = 4 } }, em:query(Author, "a")
                :select(orm.raw "count(*) AS n", orm.raw("count(*) + ? as \"Big\"", 1)):rows())
            assert.same({ { name = "Ann", id = 1 } }, em:query(Author):where(1):rows())
            assert.same({ { name = "Ann", id = 1, site = "ann.example" } },
                em:query(Author, "a"):select("a.*", "p.site"):join("profile", "p"):where { id = 1 }:rows())
            assert.same({ { student = 2, course = 1 } },
                em:query(Enrolment):select { "student", "course" }:where { grade = 2 }:rows())
        end)

        it("a selection can grow, and name what is joined behind it", function()
            local query = em:query(Author, "a"):select("name"):select { book = "b.title" }:join("books", "b")
            assert.same({ { name = "Ben", book = "B" } }, query:where { id = 2 }:rows())
        end)

        it("lazy and hidden properties are read when they are named", function()
            assert.same({ { id = 1, title = "A1", author = 1, editor = 2 } }, em:query(Book):where(1):rows())
            assert.same({ { text = "long" } }, em:query(Book):select("text"):where(1):rows())
        end)

        it("entities by name are partial, with their keys", function()
            local book = em:query(Book, "b"):select("b.title"):where { id = 1 }:one()
            assert.equal("A1", book.title)
            assert.equal(1, book.id)
            raises("not_loaded", function() return book.author end)
            local lazy = em:query(Book, "b"):select("*", "text"):where { id = 1 }:one()
            assert.equal("long", lazy.text)
            assert.equal(1, lazy.author.id)
        end)

        it("entities cannot be had of other items", function()
            raises("validation", function() em:query(Author, "a"):select { n = orm.fn.count() }:all() end, "rows()")
            raises("validation", function() em:query(Author, "a"):select { who = "name" }:one() end, "rows()")
            raises("validation", function() em:query(Author, "a"):join("books", "b"):select("b.title"):all() end)
        end)

        it("Q3: each entity comes once, at the place of its first row; limit and offset count entities", function()
            local function query()
                return em:query(Author, "a"):left_join("books", "b"):left_join("b.tags", "t")
            end
            assert.equal("Cid Ben Ann", names(query():order_by("b.title desc"):all()))
            assert.equal("Ann Ben Cid", names(query():order_by("b.title"):all()))
            assert.equal("Ben", names(query():order_by("b.title desc"):limit(1):offset(1):all()))
            assert.equal("Ann", query():where { ["t.name"] = "lua" }:order_by("a.name"):one().name)
            assert.equal(2, query():where { ["t.name"] = "lua" }:limit(1):count())
            assert.equal(3, #query():where { ["t.name"] = "lua" }:select("a.id"):rows())
            assert.equal(2, #work:statements "LIMIT .* AS hd_r")
            for _, author in ipairs(query():options { managed = false }:order_by("b.title desc"):all()) do
                assert.is_false(em:contains(author))
            end
            assert.equal(3, #query():options { managed = false }:all())
        end)

        it("Q3: the same over composite keys", function()
            local query = em:query(Track, "t"):join("lists", "l"):where { ["l.owner"] = "ann" }
            assert.equal("x1 x2 y1", names(query:order_by("disc", "no"):all()))
            assert.equal(3, query:count())
            assert.equal(5, #query:rows())
            assert.equal("x2", names(query:clone():limit(1):offset(1):all()))
        end)

        it("counts entities, whatever order, limit and selection say", function()
            local query = em:query(Author, "a"):select { x = orm.raw("? + 0", 1) }:order_by("name"):limit(1):offset(2)
            assert.equal(3, query:count())
            assert.equal(tonumber(column "select count(*) from books where title like 'A%'"),
                em:query(Book):where { title = op.like "A%" }:count())
            assert.equal(0, em:query(Book):where { title = op.one_of {} }:count())
        end)

        it("distinct makes rows one that are alike", function()
            local query = em:query(Book, "b"):select("author"):where { author = op.not_null() }:distinct()
            assert.same({ { author = 1 }, { author = 2 } }, query:order_by("author"):rows())
            assert.equal(2, query:count())
            assert.equal(3, #query:clone():distinct(false):rows())
            assert.equal(2, #em:query(Author):distinct():limit(2):all())
            assert.equal("Cid Ben Ann", names(em:query(Author):distinct():select("name"):order_by("id desc"):all()))
            raises("validation", function()
                em:query(Author):distinct():select("name"):order_by("id"):rows()
            end, "select it")
        end)

        it("a builder can be run again, and a clone goes on by itself", function()
            local query = em:query(Author, "a"):where { id = op.gt(1) }:order_by("id")
            local copy = query:clone():where { name = "Cid" }:limit(1):options { managed = false }
            assert.equal("Ben Cid", names(query:all()))
            assert.equal(2, query:count())
            assert.equal("Ben", query:one().name)
            assert.equal("Ben Cid", names(query:all()))
            assert.equal("Cid", names(copy:all()))
            assert.equal("Cid Ben", names(em:query(Author):where { id = op.gt(1) }:order_by("id desc"):all()))
            assert.equal("Ann Ben Cid", names(em:query(Author):limit(1):limit(nil):offset(2):offset(nil)
                :order_by("id"):all()))
        end)

        it("populate loads relations with the entities", function()
            local found = em:query(Author, "a"):join("books", "b"):populate { "books.tags" }:order_by("a.id"):all()
            work:forget()
            assert.equal("A2 A1", names(found[1].books))
            assert.equal(2, found[1].books[2].tags:count())
            assert.equal(0, #work:statements())
        end)

        it("a text is written once for a shape, and its parameters follow the values", function()
            local function query(id, title)
                return em:query(Author, "a"):left_join("books", "b", { title = title }):where { id = id }
            end
            query(1, "A1"):all()
            local plans = em:mapping(Author).plans
            local count = plans.count
            assert.equal("Ben", query(2, "x"):one().name)
            assert.equal("Cid", query(3, "y"):one().name)
            assert.equal(count + 1, plans.count)
            local text, params = query(3, "y"):sql()
            assert.same({ "y", 3 }, params)
            assert.equal(text, (query(1, "z"):sql()))
            assert.is_nil(text:find("y", 1, true) and text:find("'y'", 1, true))
        end)

        it("what is pending for an entity that is read, joined or in a sub-query, is flushed before", function()
            local function pending(query)
                local own = work:fork()
                own:begin()
                own:persist(Book { title = "new" })
                work:forget()
                query(own)
                local count = work:writes()
                own:rollback()
                return count
            end
            assert.equal(1, pending(function(own) own:query(Book):count() end))
            assert.equal(1, pending(function(own) own:query(Author, "a"):left_join("books", "b"):rows() end))
            assert.equal(1, pending(function(own)
                own:query(Author):where { id = op.one_of(own:query(Book):select "author") }:all()
            end))
            assert.equal(0, pending(function(own) own:query(Author):all() end))
            assert.equal(0, pending(function(own) own:query(Book):options { flush_mode = "commit" }:count() end))
        end)

        it("locks rows of the root", function()
            em:transactional(function(own)
                local found = own:query(Author, "a"):left_join("books", "b"):lock("pessimistic_write")
                    :where { id = 1 }:all()
                assert.equal("Ann", names(found))
                assert.equal("Ann", names(own:query(Author):lock("pessimistic_write"):where { id = 1 }:all()))
            end)
            if db.name == "postgres" then
                assert.equal(1, #work:statements "FOR UPDATE OF \"a\"$")
                assert.equal(1, #work:statements "FOR UPDATE OF e0$")
            end
            raises("transaction_required", function() em:query(Author):lock("pessimistic_write"):all() end)
            raises("transaction_required", function()
                em:query(Author):select("name"):lock("pessimistic_write"):rows()
            end)
            raises("validation", function() em:query(Author):lock("write"):all() end)
            raises("validation", function() em:query(Author):lock("optimistic"):all() end)
            raises("validation", function()
                em:query(Tag):select { n = orm.fn.count() }:group_by("weight"):lock("pessimistic_write"):rows()
            end)
        end)

        it("refresh and managed are find's", function()
            local ann = em:find_one(Author, 1)
            ann.name = "other"
            assert.equal("other", em:query(Author):where(1):options { flush_mode = "commit" }:one().name)
            assert.equal("Ann", em:query(Author):where(1):options { flush_mode = "commit", refresh = true }:one().name)
            assert.is_false(em:contains(em:query(Author):where(1):options { managed = false }:one()))
        end)
    end)
end)
