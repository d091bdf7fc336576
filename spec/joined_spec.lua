-- Strategy "joined": a query and what it populates in one statement, with the same instances, collections and orders as
-- one query a level gives.

local databases = require "spec.support.databases"
local elsewhere = require "spec.support.elsewhere"
local expect = require "spec.support.expect"
local graph = require "spec.support.graph"
local library = require "spec.support.library"
local loop = require "spec.support.loop"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op = orm.op
local raises, sent_by, names = expect.raises, expect.sent_by, library.names
local Author, Book, Tag, Student = library.Author, library.Book, library.Tag, library.Student

local by_id = { "id" }

-- Another entity manager, which stays: instances hold theirs weakly.
local kept, current
local function fork(of)
    kept[#kept + 1] = (of or current):fork()
    return kept[#kept]
end

local function joined(opts)
    opts.strategy = "joined"
    return opts
end

databases.each(function(db)
    describe("strategy joined", function()
        local work, em, sent

        before_each(function()
            work = unit.open(db, library.entities)
            kept, current = {}, work
            library.seed(work)
            em = work.em
            sent = expect.statements(work.instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("Q3: is one statement for a query and all that it populates", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, joined { order_by = by_id,
                    populate = { "books.tags", "profile", "friends" } })
            end)
            assert.equal(1, #list)
            list = sent_by(sent, function()
                assert.equal("Ann Ben Cid", names(authors))
                assert.equal("A2 A1", names(authors[1].books))
                assert.equal("B", names(authors[2].books))
                assert.equal("", names(authors[3].books))
                assert.equal("c lua", names(authors[1].books[2].tags))
                assert.equal("ann.example", authors[1].profile.site)
                assert.is_nil(authors[2].profile)
                assert.equal("Ben Cid", names(authors[1].friends))
                assert.equal(authors[1], authors[2].friends[1])
                assert.equal(authors[1], authors[1].books[1].author)
                assert.is_false(authors[1].books:is_dirty())
                em:flush()
            end)
            assert.same({}, list)
            assert.is_false(authors[1].fans:is_initialized())
        end)

        it("Q3: limit and offset count roots, whatever is joined", function()
            local populate = { "books.tags", "friends", "fans" }
            for offset = 0, 3 do
                local list, found = sent_by(sent, function()
                    return fork():find(Author, {}, joined { populate = populate, order_by = { "name desc" },
                        limit = 1, offset = offset })
                end)
                assert.equal(1, #list)
                assert.equal(({ [0] = "Cid", "Ben", "Ann", "" })[offset], names(found))
                if offset == 2 then assert.equal("A2 A1", names(found[1].books)) end
            end
            local rest = em:find(Author, {}, joined { populate = "books", order_by = by_id, offset = 1 })
            assert.equal("Ben Cid", names(rest))
            assert.same({}, em:find(Author, {}, joined { populate = "books", limit = 0 }))
            assert.equal("A1 A2", names(em:find(Book, {}, joined { populate = "author", order_by = by_id, limit = 2 })))
        end)

        it("keeps the order of the query, of relations, and that which an entry asks for", function()
            local tags = em:find(Tag, {}, joined { populate = { "books" }, order_by = { "weight desc" } })
            assert.equal("sql lua c", names(tags))
            assert.equal("B A1 A2", names(tags[2].books))
            local again = fork():find(Tag, {}, joined { populate = { { "books", order_by = { "title desc" } } },
                order_by = { "weight" } })
            assert.equal("B A2 A1", names(again[2].books))
            local books = fork():find(Book, {}, joined { populate = { "author", "tags" },
                order_by = { "author.name desc nulls last", "title desc" } })
            assert.equal("B A2 A1 none", names(books))
            assert.equal("c lua", names(books[3].tags))
            assert.equal("A1 A2 B none", names(fork():find(Book, {}, joined { populate = { "tags" } })))
        end)

        it("puts what an entry asks for into the join, not into the filter", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, joined { order_by = by_id, populate = {
                    { "books", where = { tags = op.some { name = "c" } } },
                    { "books.tags", where = { weight = op.gt(1) } },
                    { "profile", where = { site = op.like "cid%" } },
                } })
            end)
            assert.equal(1, #list)
            assert.equal("Ann Ben Cid", names(authors))
            assert.equal("A1", names(authors[1].books))
            assert.equal("lua", names(authors[1].books[1].tags))
            assert.equal("", names(authors[2].books))
            assert.is_nil(authors[1].profile)
            assert.equal("cid.example", authors[3].profile.site)
        end)

        it("joins in a condition of an entry, in a sub-select", function()
            local authors = em:find(Author, {}, joined { order_by = by_id, populate = {
                { "books", where = { editor = { profile = { site = "ann.example" } } } },
                { "edited", where = { author = { name = "Ann" }, title = op.ne "A1" } },
            } })
            assert.equal("", names(authors[1].books))
            assert.equal("B", names(authors[2].books))
            assert.equal("A2", names(authors[2].edited))
        end)

        it("leaves names in raw SQL to the table that it is about", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, op.raw("name < ? and id > 0", "C"), joined { order_by = { "name desc" },
                    populate = { "friends", "books",
                        { "books.author.fans", where = op.raw("name <> ? and e0.id > 0", "Cid") } } })
            end)
            assert.equal(1, #list)
            assert.equal("Ben Ann", names(authors))
            assert.equal("Ann", names(authors[1].friends))
            assert.equal("Ben", names(authors[2].fans))
            authors = fork():find(Author, { name = op.raw("upper(?) || substr(name, 2)", "b") },
                joined { populate = "books", limit = 5 })
            assert.equal("Ben", names(authors))
        end)

        it("I5: collections that were read in part are not the truth for writing", function()
            local ann = em:find_one(Author, 1, joined { populate = { { "books", where = { title = "A1" } } } })
            assert.equal("A1", names(ann.books))
            em:find(Author, { id = 1 }, joined { populate = { "books" } })
            assert.equal("A2 A1", names(ann.books))
            em:find(Author, { id = 1 }, joined { populate = { { "books", where = { title = "A2" } } } })
            assert.equal("A2", names(ann.books))
            ann.books:remove(ann.books[1])
            em:flush()
            assert.equal("1", work.raw:value "select count(*) from books where author_id = 1")
        end)

        it("takes fields and lazy properties of each path", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, joined { order_by = by_id, fields = { "name" },
                    populate = { { "books", fields = { "title", "text" } }, "books.editor" } })
            end)
            assert.equal(1, #list)
            assert.equal("long", authors[1].books[2].text)
            assert.is_nil(authors[1].books[1].text)
            assert.equal("Ben", authors[1].books[1].editor.name)
            assert.has_error(function() return authors[3].books[1].title end)
            local other = fork():find(Author, { id = 1 },
                joined { populate = { { "books", exclude = { "title" } } } })[1]
            raises("not_loaded", function() return other.books[1].title end)
            assert.equal(other, other.books[1].author)
            local book = fork():find_one(Book, { id = 1 }, joined { populate = { "text", "tags" } })
            assert.equal("long", book.text)
        end)

        it("can be said of single entries, and be taken back for some", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, { order_by = by_id,
                    populate = { { "profile", strategy = "joined" }, "books" } })
            end)
            assert.equal(2, #list)
            assert.equal("ann.example", authors[1].profile.site)
            assert.equal("A2 A1", names(authors[1].books))
            local reader = fork()
            list, authors = sent_by(sent, function()
                return reader:find(Author, {}, joined { order_by = by_id, populate = { "profile",
                    { "books", strategy = "select_in", populate = { { "tags", strategy = "joined" } } } } })
            end)
            -- What is joined is joined to the query; below another statement there is none to join to.
            assert.equal(3, #list)
            assert.equal("c lua", names(authors[1].books[2].tags))
        end)

        it("leaves limits of each owner's members, and what is below them, to statements of their own", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, joined { order_by = by_id,
                    populate = { { "books", limit = 1, populate = { "tags" } }, "profile" } })
            end)
            assert.equal(3, #list)
            assert.equal("A2", names(authors[1].books))
            assert.equal("lua", names(authors[1].books[1].tags))
            assert.equal("cid.example", authors[3].profile.site)
        end)

        it("is there for all of find's kin", function()
            local opts = function() return joined { populate = { "books" }, order_by = by_id } end
            local function one(fn)
                local reader = fork()
                local list, found = sent_by(sent, function() return fn(reader) end)
                assert.equal(1, #list)
                return found
            end
            assert.equal("A2 A1", names(one(function(m) return m:find_one(Author, 1, opts()) end).books))
            assert.equal("A2 A1", names(one(function(m)
                return m:find_one(Author, { name = "Ann" }, opts())
            end).books))
            assert.equal("B", names(one(function(m)
                return m:find_one_or_fail(Author, { name = "Ben" }, opts())
            end).books))
            assert.equal("B", names(one(function(m) return m:find_all(Author, opts()) end)[2].books))
            assert.equal("B", names(one(function(m) return m:repository(Author):find({}, opts()) end)[2].books))
            assert.is_nil(one(function(m) return m:find_one(Author, 9, opts()) end))
            assert.same({}, one(function(m) return m:find(Author, { id = op.one_of {} }, opts()) end))
            local items, total = em:find_and_count(Author, {}, joined { populate = "books", order_by = by_id,
                limit = 2 })
            assert.equal("Ann Ben", names(items))
            assert.equal(3, total)
            local students = em:find(Student, {}, joined { populate = "courses", order_by = by_id, distinct = true })
            assert.equal("Lua C", names(students[1].courses))
        end)

        it("I2: what find_one knows by its key is not read again", function()
            local ann = em:find_one(Author, 1, joined { populate = { "books" } })
            assert.same({}, sent_by(sent, function()
                assert.equal(ann, em:find_one(Author, 1, joined { populate = { "books" } }))
            end))
        end)

        it("I1: one row is one instance, however often and wherever it stands in the result", function()
            local books = em:find(Book, {}, joined { order_by = by_id,
                populate = { "author.books.tags.books", "editor.friends", "tags" } })
            local ann, lua = books[1].author, books[2].tags[1]
            assert.equal(ann, books[2].author)
            assert.equal(ann, books[3].editor)
            assert.equal(ann, books[1].editor.friends[1])
            assert.equal(books[1], ann.books[2])
            assert.equal(lua, books[1].tags[2])
            assert.equal("B A1 A2", names(lua.books))
            assert.equal(em:find_one(Author, 1), ann)
        end)

        it("I3: what was changed stays, what was not is refreshed", function()
            local ann = em:find_one(Author, 1, { populate = { "books.tags" } })
            local first, second = ann.books[2], ann.books[1]
            first.title = "mine"
            ann.books:remove(second)
            first.tags:add(em:get_reference(Tag, "sql"))
            work.raw:exec "update books set title = 'theirs', text = 'new' where author_id = 1"
            em:find(Author, {}, joined { populate = { "books.tags" }, flush_mode = "commit" })
            assert.equal("mine", first.title)
            assert.equal("theirs", second.title)
            assert.equal("mine", names(ann.books))
            assert.equal("c lua sql", names(first.tags))
        end)

        it("I3: a changed entity whose row has another version is not merged", function()
            local sue = em:find_one(Student, 1, joined { populate = "enrolments" })
            local enrolment = sue.enrolments[1]
            enrolment.grade = 1
            work.raw:exec "update enrolments set grade = 6, at = 'later', version = version + 1"
            em:find(Student, {}, joined { populate = { "enrolments.course" }, flush_mode = "commit" })
            assert.equal(1, enrolment.grade)
            assert.equal("then", enrolment.at)
            unit.raises("optimistic_lock", em.flush, em)
        end)

        it("reads again what is to be refreshed, on all paths, and drops what was changed there", function()
            local ann = em:find_one(Author, 1, { populate = { "books.tags" } })
            ann.name, ann.books[1].title = "x", "y"
            local found = em:find(Author, { id = 1 }, joined { populate = { "books.tags" }, refresh = true,
                flush_mode = "commit" })
            assert.equal(ann, found[1])
            assert.equal("Ann", ann.name)
            assert.equal("A2 A1", names(ann.books))
            assert.equal("c lua", names(ann.books[2].tags))
            assert.same({}, sent_by(sent, function() em:flush() end))
        end)

        it("loads what memory leads to, and the rows do not", function()
            local list, book = sent_by(sent, function()
                local found = em:find_one(Book, 1)
                found.author = em:get_reference(Author, 3)
                em:find(Book, { id = 1 }, joined { populate = { "author.profile" }, flush_mode = "commit" })
                return found
            end)
            assert.equal(4, #list)
            assert.equal("Cid", book.author.name)
            assert.equal("cid.example", book.author.profile.site)
            local ben = em:find_one(Author, 2)
            ben.books:add(em:find_one(Book, 4))
            em:find(Author, { id = 2 }, joined { populate = { "books.tags" }, flush_mode = "commit" })
            assert.equal("B none", names(ben.books))
            assert.equal("sql", names(ben.books[2].tags))
        end)

        it("flushes first what it is going to read", function()
            local ann = em:find_one(Author, 1, { populate = "books" })
            ann.books[1].title = "A0"
            local found = em:find(Author, {}, joined { order_by = by_id,
                populate = { { "books", where = { title = "A0" } } } })
            assert.equal("A0", names(found[1].books))
            assert.equal("1", work.raw:value "select count(*) from books where title = 'A0'")
        end)

        it("Q3: gives instances of nobody the same way", function()
            local opts = { order_by = by_id, managed = false,
                populate = { "books.tags", "profile", "friends.books", "fans" } }
            local expected = graph.text(em:find(Author, {}, opts))
            local list, found = sent_by(sent, function() return em:find(Author, {}, joined(opts)) end)
            assert.equal(1, #list)
            assert.equal(expected, graph.text(found))
            assert.equal("unmanaged", getmetatable(found[1].books[1]).load_state)
            assert.is_false(em:contains(found[1]))
            assert.equal(found[1], found[2].friends[1])
            assert.equal(found[1].books[1], found[2].friends[1].books[1])
        end)

        it("calls on_load once for each instance, when all of it is there", function()
            local heard = {}
            work.instance:on("on_load", function(e)
                local name = getmetatable(e).definition.name
                heard[#heard + 1] = name .. (name == "Author" and " " .. e.name .. " " .. names(e.books) or "")
            end)
            for _, is_managed in ipairs { true, false } do
                heard = {}
                em:find(Author, {}, joined { managed = is_managed,
                    populate = { "books.author.books", "friends.books" } })
                table.sort(heard)
                assert.same({ "Author Ann A2 A1", "Author Ben B", "Author Cid ", "Book", "Book", "Book" }, heard)
            end
            heard = {}
            em:find(Author, {}, joined { populate = { "books" } })
            assert.same({}, heard)
        end)

        it("joins no more tables than a statement takes, and reads the rest by statements of their own", function()
            local properties = { name = "Hub", table = "hubs", { "id", type = "integer", primary = true } }
            for i = 1, 45 do properties[i + 1] = { "leaf" .. i, many_to_one = "Leaf", nullable = true } end
            local Hub = orm.entity(properties)
            local Leaf = orm.entity { name = "Leaf", table = "leaves", { "id", type = "integer", primary = true },
                { "name", type = "string" } }
            local other = unit.open(db, { Hub, Leaf }, { context_name = "other" })
            local data = { id = 1 }
            for i = 1, 45 do data["leaf" .. i] = other.em:create(Leaf, { id = i, name = "leaf " .. i }) end
            other.em:persist_and_flush(other.em:create(Hub, data))
            local reader = fork(other)
            other:forget()
            local hub = reader:find_one(Hub, { id = 1 }, joined { populate = "*" })
            assert.equal(1 + 6, #other:statements())
            for i = 1, 45 do assert.equal("leaf " .. i, hub["leaf" .. i].name) end
        end)

        it("leads in circles, and deep, without end", function()
            local list, authors = sent_by(sent, function()
                return em:find(Author, {}, joined { order_by = by_id,
                    populate = { "friends.friends.friends.fans.fans", "books.author.books.author" } })
            end)
            assert.equal(1, #list)
            assert.equal("Ben Cid", names(authors[2].friends[1].friends))
            assert.equal("Ben", names(authors[1].fans))
        end)

        it("gives many rows as it gives few", function()
            local rows, friends = {}, {}
            for i = 1, 400 do rows[i] = { id = 1000 + i, title = ("t%03d"):format(i), author = i % 3 + 1 } end
            for i = 1, 30 do friends[i] = { id = 500 + i, name = ("f%02d"):format(i) } end
            em:insert_many(Book, rows)
            em:insert_many(Author, friends)
            for i = 1, 30 do
                em:execute("insert into authors_friends (author_1_id, author_2_id) values (3, ?)", 500 + i)
            end
            local list, found = sent_by(sent, function()
                return em:find(Author, { id = op.lte(3) }, joined { order_by = by_id,
                    populate = { "books", "friends" } })
            end)
            assert.equal(1, #list)
            assert.equal(133 + 2, #found[1].books)
            assert.equal(133, #found[3].books)
            assert.equal(30, #found[3].friends)
            assert.equal("f01", found[3].friends[1].name)
            assert.equal("t398", found[3].books[1].title)
            assert.equal("t002", found[3].books[133].title)
        end)

        it("takes named filters along, into joins", function()
            local Word = orm.entity { name = "Word", table = "words", { "id", type = "integer", primary = true },
                { "text", type = "string" }, { "gone", type = "boolean" },
                { "page", many_to_one = "Page", nullable = true },
                filters = { there = { cond = { gone = false }, default = true } } }
            local Page = orm.entity { name = "Page", table = "pages", { "id", type = "integer", primary = true },
                { "words", one_to_many = "Word", mapped_by = "page" },
                { "title", many_to_one = "Word", nullable = true } }
            local other = unit.open(db, { Word, Page }, { context_name = "other" })
            other.raw:exec "insert into pages (id) values (1)"
            other.raw:exec "insert into words (id, text, gone, page_id) values (1, 'a', false, 1), (2, 'b', true, 1)"
            other.raw:exec "update pages set title_id = 2"
            local reader = fork(other)
            other:forget()
            local page = reader:find_one(Page, { id = 1 }, joined { populate = { "words", "title" } })
            assert.equal(1, #other:statements())
            assert.equal(1, #page.words)
            assert.equal(2, page.title.id)
            assert.is_false(orm.is_initialized(page.title))
            page = fork(other):find_one(Page, { id = 1 }, joined { populate = { "words", "title" }, filters = false })
            assert.equal(2, #page.words)
            assert.equal("b", page.title.text)
            page = fork(other):find_one(Page, { id = 1 },
                joined { populate = { { "words", filters = { there = false } }, "title" } })
            assert.equal(2, #page.words)
            assert.is_true(orm.is_initialized(page.title))
        end)

        it("reads relations that are eager in the same statement", function()
            local Leaf = orm.entity { name = "Leaf", table = "leaves", { "id", type = "integer", primary = true },
                { "name", type = "string" }, { "tree", many_to_one = "Tree", eager = true, nullable = true } }
            local Tree = orm.entity { name = "Tree", table = "trees", { "id", type = "integer", primary = true },
                { "leaves", one_to_many = "Leaf", mapped_by = "tree", eager = true },
                { "next", many_to_one = "Tree", nullable = true, eager = true } }
            local other = unit.open(db, { Leaf, Tree }, { context_name = "other" })
            other.raw:exec "insert into trees (id, next_id) values (1, null), (2, 1)"
            other.raw:exec "insert into leaves (id, name, tree_id) values (1, 'a', 1), (2, 'b', 2), (3, 'c', 2)"
            for _, is_managed in ipairs { true, false } do
                local reader = fork(other)
                other:forget()
                local tree = reader:find(Tree, { id = 2 }, joined { managed = is_managed })[1]
                assert.equal(1, #other:statements())
                assert.equal("c", tree.leaves[2].name)
                assert.equal("a", tree.next.leaves[1].name)
                assert.equal(tree, tree.leaves[1].tree)
            end
        end)

        it("refuses strategies that do not exist", function()
            raises("validation", function() em:find(Author, {}, { strategy = "join" }) end, "strategy", "\"joined\"")
            raises("validation", function() em:find(Author, {}, { populate = { { "books", strategy = "x" } } }) end,
                "strategy")
            raises("unknown_property", function() em:find(Author, {}, joined { populate = { "book" } }) end, "books")
            raises("validation", function() em:find(Author, {}, joined { populate = "books", limit = -1 }) end, "limit")
            raises("validation", function()
                em:find(Author, {}, joined { populate = "books", having = {} })
            end, "having")
            raises("unknown_property", function()
                em:find(Author, {}, joined { populate = { { "books", where = { titel = 1 } } } })
            end, "title")
            raises("unknown_property", function()
                em:find(Author, {}, joined { populate = { { "books", order_by = { "titel" } } } })
            end, "title")
            assert.equal("A2 A1", names(em:load(em:find_one(Author, 1), { "books" }, { strategy = "joined" }).books))
        end)
    end)

    describe("locks of joined queries", function()
        local work, em

        before_each(function()
            work = unit.open(db, library.entities)
            kept, current = {}, work
            library.seed(work)
            em = work.em
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function find(opts)
            return em:transactional(function()
                local found = em:find(Author, {}, joined(opts))
                return found, work.raw
            end)
        end

        it("need a transaction", function()
            raises("transaction_required", function()
                em:find(Author, {}, joined { populate = "books", lock = "pessimistic_write" })
            end)
        end)

        it("hold for roots", function()
            for _, limit in ipairs { 0, 2 } do
                local found = find { populate = { "books", "profile" }, order_by = by_id, lock = "pessimistic_write",
                    limit = limit > 0 and limit or nil }
                assert.equal(limit > 0 and "Ann Ben" or "Ann Ben Cid", names(found))
                assert.equal("A2 A1", names(found[1].books))
            end
        end)

        it("drop what was changed of a root, and of nothing else", function()
            local ann = em:find_one(Author, 1, { populate = "books" })
            ann.name, ann.books[1].title = "x", "y"
            em:transactional(function()
                em:find(Author, { id = 1 }, joined { populate = "books", lock = "pessimistic_write",
                    flush_mode = "commit" })
                assert.equal("Ann", ann.name)
                assert.equal("y", ann.books[1].title)
            end)
        end)
    end)
end)

databases.on("postgres", function(db)
    describe("locks of joined queries", function()
        local work

        before_each(function()
            work = unit.open(db, library.entities)
            kept, current = {}, work
            library.seed(work)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("lock the rows of roots alone", function()
            local em = work.em
            em:transactional(function()
                em:find(Author, { id = 1 }, joined { populate = { "books", "profile" }, lock = "pessimistic_write" })
                assert.has_error(function() work.raw:rows "select id from authors where id = 1 for update nowait" end)
                assert.equal(1, #work.raw:rows "select id from books where id = 1 for update nowait")
                assert.equal(1, #work.raw:rows "select author_id from profiles where author_id = 1 for update nowait")
                assert.equal(1, #work.raw:rows "select id from authors where id = 2 for update nowait")
            end)
        end)

        it("skip what others hold before they count", function()
            work.raw:exec "begin"
            work.raw:rows "select id from authors where id = 1 for update"
            local em = work.em
            em:transactional(function()
                local found = em:find(Author, {}, joined { populate = { "books" }, order_by = by_id, limit = 1,
                    lock = "pessimistic_write_skip_locked" })
                assert.equal("Ben", names(found))
                assert.equal("B", names(found[1].books))
            end)
            work.raw:exec "rollback"
        end)

        it("wait as others do, in the middle of long results too", function()
            work.raw:exec [[insert into authors (id, name)
                select 1000 + n, repeat('name', 200) || n from generate_series(1, 500) n]]
            work.raw:exec [[insert into books (id, title, author_id)
                select 1000 + n, repeat('title', 200) || n, 1000 + n % 500 + 1 from generate_series(1, 4000) n]]
            loop.reset()
            orm.use(loop.wait)
            local counts = {}
            for i, is_managed in ipairs { true, false } do
                local em = fork()
                loop.spawn(function()
                    counts[i] = 0
                    local found = em:find(Author, { id = op.gt(1000) },
                        joined { populate = "books", managed = is_managed })
                    for _, author in ipairs(found) do counts[i] = counts[i] + #author.books end
                end)
            end
            loop.run()
            loop.reset()
            orm.use "blocking"
            assert.same({ 4000, 4000 }, counts)
        end)

        it("see the newest state of what they waited for", function()
            local finish = elsewhere.run(work.config, "begin", "update authors set name = 'Anna' where id = 1", 0.5,
                "commit")
            local sleeping = [[select count(*) from pg_stat_activity
                where query like 'select pg_sleep%' and datname = current_database()]]
            while work.raw:value(sleeping) ~= "1" do work.raw:rows "select pg_sleep(0.01)" end
            local em, seen = work.em
            em:transactional(function()
                seen = em:find(Author, { id = 1 }, joined { populate = "books", limit = 1,
                    lock = "pessimistic_write" })
            end)
            finish()
            assert.equal("Anna", seen[1].name)
            assert.equal("A2 A1", names(seen[1].books))
        end)
    end)
end)
