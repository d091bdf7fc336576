-- em:query: queries inside queries - as values, as conditions, among what is selected, as sources, under names, in
-- unions.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"

local op, fn, raises = orm.op, orm.fn, expect.raises
local Author, Book, Tag, Track, Playlist = library.Author, library.Book, library.Tag, library.Track, library.Playlist

local Node = orm.entity { name = "Node", table = "nodes", { "id", type = "integer", primary = true },
    { "name", type = "string" }, { "parent", many_to_one = "Node", nullable = true } }

databases.each(function(db)
    local work, em

    setup(function()
        work = library.open(db, { Node })
        work.raw:exec [[insert into nodes (id, name, parent_id) values (1, 'root', null), (2, 'a', 1), (3, 'b', 1),
            (4, 'aa', 2), (5, 'aaa', 4), (6, 'other', null)]]
    end)

    before_each(function()
        em = work:fork()
        work:forget()
    end)

    teardown(function()
        work:close()
        db:close()
    end)

    local function names(list)
        local found = {}
        for i, row in ipairs(list) do found[i] = tostring(row.title or row.name or row.n) end
        return table.concat(found, " ")
    end

    describe("sub-queries as values", function()
        it("one_of, not_one_of: a NULL that it gives is none of its values", function()
            local written = em:query(Book):select("author")
            assert.equal("Ann Ben", names(em:query(Author):where { id = op.one_of(written) }:order_by("id"):all()))
            assert.equal("Cid", names(em:query(Author):where { id = op.not_one_of(written) }:all()))
            assert.equal("Cid", names(em:query(Author):where(op.negate { id = op.one_of(written) }):all()))
            assert.equal(0, em:query(Author):where { id = op.one_of(em:query(Book):select("author")
                :where { id = 4 }) }:count())
            assert.equal(3, em:query(Author):where { id = op.not_one_of(em:query(Book):select("author")
                :where { id = 4 }) }
                :count())
            assert.equal("A1 A2", names(em:query(Book):where { author = op.one_of(em:query(Author):select("id")
                :where { name = "Ann" }) }:order_by("id"):all()))
        end)

        it("over composite keys", function()
            local listed = em:query(Playlist, "p"):select("t.disc", "t.no"):join("tracks", "t")
                :where { ["p.name"] = "b" }
            local found = em:query(Track):where(op.raw("1 = 1")):order_by("disc"):all()
            assert.equal(3, #found)
            assert.equal(2, #listed:rows())
            local inner = em:query(Track, "i"):where { no = 2 }
            assert.equal("x", em:query(Track, "t"):where(op.some(inner:clone():where { disc = op.ref "t.disc" }))
                :order_by("disc", "no"):one().disc)
        end)

        it("eq, ne, gt, gte, lt, lte, and bare", function()
            local function ids(cond)
                return names(em:query(Tag):where { weight = cond }:order_by("weight"):all())
            end
            local middle = em:query(Tag):select("weight"):where { name = "lua" }
            assert.equal("lua", ids(middle))
            assert.equal("lua", ids(op.eq(middle)))
            assert.equal("c sql", ids(op.ne(middle)))
            assert.equal("sql", ids(op.gt(middle)))
            assert.equal("lua sql", ids(op.gte(middle)))
            assert.equal("c", ids(op.lt(middle)))
            assert.equal("c lua", ids(op.lte(middle)))
            assert.equal("sql", ids(em:query(Tag):select { most = fn.max "weight" }))
            assert.equal("sql", ids(em:query(Tag):select { orm.raw "max(weight)" }))
            assert.equal("c sql", ids(op.any { op.gt(middle), op.lt(middle) }))
            assert.equal("A1 A2", names(em:query(Book):where { author = em:query(Author):select("id")
                :where { name = "Ann" } }
                :order_by("id"):all()))
        end)

        it("in filters of find, nested ones too, and in update_where", function()
            assert.equal("Ann Ben", names(em:find(Author, { id = op.one_of(em:query(Book):select "author") },
                { order_by = { "id" } })))
            assert.equal("A1 A2", names(em:find(Book, { author = { id = em:query(Author):select("id")
                :where { name = "Ann" } } },
                { order_by = { "id" } })))
            assert.equal(2, em:count(Author, { books = op.some { id = op.one_of(em:query(Book):select "id") } }))
            assert.equal(1, em:update_where(Tag, { weight = op.lt(em:query(Tag):select { fn.count() } ), name = "lua" },
                { weight = 2 }))
        end)

        it("correlated through op.ref, at any depth", function()
            local own = em:query(Book, "b"):where { author = op.ref "a.id" }
            assert.equal("Cid", names(em:query(Author, "a"):where(op.none(own)):all()))
            assert.equal("Ann Ben", names(em:query(Author, "a"):where(op.some(own)):order_by("id"):all()))
            local tagged = em:query(Tag, "t"):join("books", "tb"):where { ["tb.id"] = op.ref "b.id",
                name = op.ref "t.name", ["tb.author"] = op.ref "a.id", weight = 1 }
            assert.equal("Ann", names(em:query(Author, "a"):where(op.some(own:clone():where(op.some(tagged)))):all()))
            assert.equal("Ann Cid", names(em:query(Author, "a"):where(op.any { op.none(own), { name = "Ann" } })
                :order_by("id"):all()))
            assert.equal("Ann", names(em:query(Author, "a"):where(op.negate(op.none(own))):where { id = 1 }:all()))
        end)

        it("op.ref compares properties of one entity, in find too", function()
            assert.equal("Ann", em:find_one(Author, { name = op.ref "name", id = 1 }).name)
            assert.equal(0, em:count(Book, { author = op.ref "editor" }))
            assert.equal(3, em:count(Book, { author = op.ne(op.ref "editor") }))
            assert.equal(1, em:count(Author, { books = op.some { editor = op.lt and op.ne(op.ref "author"),
                title = "B" } }))
        end)

        it("among the items, one value each", function()
            local rows = em:query(Author, "a"):select { "name",
                n = em:query(Book, "b"):select { n = fn.count() }:where { author = op.ref "a.id" } }
                    :order_by("n desc", "name")
                :rows()
            assert.same({ { name = "Ann", n = 2 }, { name = "Ben", n = 1 }, { name = "Cid", n = 0 } }, rows)
            raises("validation", function()
                em:query(Author, "a"):select { x = em:query(Book) }:rows()
            end, "one value")
        end)
    end)

    describe("queries as sources", function()
        it("their items are properties, with their types", function()
            local counts = em:query(Book):select { "author", n = fn.count(), last = fn.max "title" }:group_by("author")
            assert.same({ { author = 1, n = 2, last = "A2" } }, em:query(counts, "c"):where { n = op.gt("1") }:rows())
            assert.equal(1, em:query(counts, "c"):where { n = 2, last = op.like "A%" }:count())
            assert.same({ { n = 2 } }, em:query(counts, "c"):select("n"):order_by("c.n desc"):limit(1):rows())
            assert.equal(2, em:query(em:query(counts, "x"):where { n = 1 }, "y"):count())
            raises("validation", function() em:query(counts, "c"):where { n = "many" }:rows() end)
            raises("validation", function() em:query(counts, "c"):all() end, "rows()")
            raises("validation", function() em:query(counts, "c"):where(7):rows() end, "no key")
            raises("unknown_property", function() em:query(counts, "c"):where { m = 1 }:rows() end, "m")
            raises("validation", function() em:query(em:query(Book):select { orm.raw "1" }, "c"):rows() end, "name")
            raises("validation", function() em:query(counts) end, "alias")
        end)

        it("have order and limit of their own, and do not see the aliases around them", function()
            local last = em:query(Book):order_by("id desc"):limit(2)
            assert.equal("B none", names(em:query(last, "l"):select("title"):order_by("title"):rows()))
            raises("unknown_property", function()
                em:query(Author, "a"):join(em:query(Book, "b"):where { author = op.ref "a.id" }, "x",
                    { author = op.ref "a.id" }):rows()
            end, "'a'")
        end)
    end)

    describe("with", function()
        it("gives sub-queries a name, which each after it and all below can read", function()
            local prolific = em:query(Book):select { "author", n = fn.count() }:group_by("author")
            local query = em:query(Author, "a"):with("counts", prolific)
                :with("many", em:query():from("counts", "c"):where { n = op.gt(1) })
                :join("many", "m", { author = op.ref "a.id" })
            assert.equal("Ann", names(query:all()))
            assert.equal(1, query:count())
            assert.equal("Ann", names(em:query(Author):with("many", prolific):where { id = op.one_of(
                em:query():from("many"):select("author"):where { n = 2 }) }:all()))
            assert.equal(3, #em:query():with("x", prolific):from("x"):rows())
        end)

        it("recursive: below a node, above it, with depth and bounded parameters", function()
            local function below(id)
                return em:query(Node):select { "id", "name", depth = orm.raw "0" }:where { id = id }
                    :union_all(em:query(Node, "s"):join("tree", "up", { id = op.ref "s.parent" })
                        :select { "id", "name", depth = orm.raw "up.depth + 1" })
            end
            local rows = em:query():with("tree", below(1)):from("tree", "t"):order_by("depth", "id"):rows()
            assert.same({ { id = 1, name = "root", depth = 0 }, { id = 2, name = "a", depth = 1 },
                { id = 3, name = "b", depth = 1 }, { id = 4, name = "aa", depth = 2 }, { id = 5, name = "aaa",
                    depth = 3 } },
                rows)
            local nodes = em:query(Node, "n"):with("tree", below(2)):where { id = op.one_of(
                em:query():from("tree", "t"):select("id")) }:order_by("id"):all()
            assert.equal("a aa aaa", names(nodes))
            assert.equal(em:find_one(Node, 4), nodes[2])
            local above = em:query(Node):select("id", "parent"):where { name = "aaa" }
                :union(em:query(Node, "p"):join("path", "c", { parent = op.ref "p.id" }):select("p.id", "p.parent"))
            assert.equal("root a aa aaa", names(em:query(Node, "n"):with("path", above)
                :join("path", "p", { id = op.ref "n.id" })
                :order_by("n.id"):all()))
        end)

        it("in writes", function()
            local old = em:query(Node):select("id"):where { name = "other" }
            assert.equal(1, em:query(Node):with("old", old):update { name = "other" }:where { id = op.one_of(
                em:query():from("old"):select("id")) }:count())
            assert.equal(0, em:query(Node):with("old", old:clone():where { id = 77 }):delete():where { id = op.one_of(
                em:query():from("old"):select("id")) }:count())
        end)

        it("what it refuses", function()
            raises("unknown_property", function() em:query():from("nothing", "x"):rows() end, "nothing")
            raises("validation", function()
                em:query(Node):with("x", em:query(Node)):with("x", em:query(Node))
            end, "'x'")
            raises("validation", function()
                em:query():with("x", em:query():from("x", "y")):from("x", "z"):rows()
            end, "union_all")
            raises("validation", function() em:query(Node):with("x", {}) end)
            raises("validation", function() em:query(Node):with("x y", em:query(Node)) end)
            raises("validation", function() em:query():rows() end, "source")
        end)
    end)

    describe("unions", function()
        local function select_names(entity) return em:query(entity):select("name") end

        it("union, union_all, intersect, except; order and limit are the whole's", function()
            local both = select_names(Author):union(select_names(Tag)):order_by("name")
            assert.equal("Ann Ben Cid c lua sql", names(both:rows()))
            assert.equal(6, both:count())
            assert.equal("Ben Cid", names(both:clone():limit(2):offset(1):rows()))
            assert.equal(6, select_names(Author):union_all(select_names(Author)):count())
            assert.equal(3, select_names(Author):union(select_names(Author)):count())
            assert.equal("Ben", names(select_names(Author):intersect(select_names(Author):where { id = 2 }):rows()))
            assert.equal("Ann Cid", names(select_names(Author):except(select_names(Author):where { id = 2 })
                :order_by("name"):rows()))
        end)

        it("from left to right, on both", function()
            local query = select_names(Author):where { id = 1 }:union(select_names(Author):where { id = 2 })
                :intersect(select_names(Author):where { id = 2 })
            assert.equal("Ben", names(query:rows()))
            assert.equal("Ann Ben", names(select_names(Author):except(select_names(Author):where { id = op.gt(1) })
                :union(select_names(Author):where { id = 2 }):order_by("name"):rows()))
        end)

        it("a part has its own order and limit, and may be a union itself", function()
            local query = select_names(Author):where { id = 3 }
                :union_all(select_names(Author):order_by("name desc"):limit(1):offset(1))
                :union_all(select_names(Tag):where { weight = 1 }:union(select_names(Tag):where { weight = 1 }))
            assert.equal("Ben Cid c", names(query:order_by("name"):rows()))
            assert.equal("c Cid", names(em:query(query, "q"):order_by("name desc"):limit(2):rows()))
        end)

        it("gives entities where each part selects them, each once", function()
            local query = em:query(Author):where { id = op.lt(3) }:union_all(em:query(Author):where { id = op.gt(1) })
            assert.equal("Cid Ben Ann", names(query:order_by("name desc"):all()))
            assert.equal(3, query:count())
            assert.equal(3, query:clone():select("*"):count())
            assert.equal("Ben", names(query:clone():limit(1):offset(1):all()))
            assert.equal("Ben", em:query(Author):where { id = op.lt(3) }:intersect(em:query(Author)
                :where { id = op.gt(1) })
                :one().name)
            raises("validation", function() em:query(Author):union(em:query(Tag):select("name", "weight")):all() end)
            assert.equal("x", em:query(Track):where { no = 2 }:union(em:query(Track):where { no = 9 }):one().disc)
        end)

        it("their queries give equally many values, and are sorted by names of items", function()
            raises("validation", function() select_names(Author):union(em:query(Tag):select("name", "weight"))
                :rows() end,
                "2")
            raises("unknown_property", function() select_names(Author):union(select_names(Tag)):order_by("nam")
                :rows() end,
                "did you mean 'name'")
            raises("validation", function()
                select_names(Author):union(select_names(Tag)):order_by(orm.raw "1"):rows()
            end)
            raises("validation", function() select_names(Author):union("x") end)
        end)
    end)

    describe("sub-queries that cannot be", function()
        it("are refused", function()
            raises("validation", function()
                em:query(Author):where { id = op.one_of(em:query(Book)) }:all()
            end, "gives 4")
            raises("validation", function() em:query(Author):where(em:query(Book)):all() end, "op.some")
            raises("validation", function() em:query(Author):where(op.every(em:query(Book))):all() end)
            raises("validation", function() em:query(Author):where { id = op.between(1, em:query(Book)) }:all() end)
            raises("validation", function() em:query(Author):where { name = op.like(em:query(Book)) } end)
            raises("validation", function()
                em:query(Author):where { id = op.one_of(em:query(Book):delete():where { id = 1 }) }:all()
            end, "delete")
            raises("unknown_property", function()
                em:query(Author, "a"):where(op.some(em:query(Book, "b"):where { author = op.ref "x.id" })):all()
            end, "'x'")
            raises("unknown_property", function()
                em:query(Author):where { id = op.ref "idd" }:all()
            end, "did you mean 'id'")
            raises("validation", function() em:query(Author):where { id = op.ref "books" }:all() end)
            raises("validation", function() op.ref(nil) end)
            local query = em:query(Author)
            query:where { id = op.one_of(query) }
            raises("validation", function() query:all() end)
        end)

        it("C3: one of another context is wrong_context", function()
            local other = orm.init(db:config { context_name = "other", entities = { Node } })
            local foreign = orm.em("other"):query(Node):select("id")
            raises("wrong_context", function() em:query(Author):where { id = op.one_of(foreign) }:all() end, "other")
            raises("wrong_context", function() em:find(Author, { id = op.one_of(foreign) }) end, "other")
            raises("wrong_context", function() em:query(foreign, "x"):rows() end, "other")
            raises("entity_not_registered", function() orm.em("other"):query(Author) end)
            other:close()
        end)
    end)
end)
