-- em:query: insert, update and delete, what they give back, on_conflict; what managed entities see of them.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"

local op, raises = orm.op, expect.raises
local Author, Book, Tag = library.Author, library.Book, library.Tag

local Address = orm.embeddable { name = "Address", { "city", type = "string" }, { "zip", type = "string",
    nullable = true } }
local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "email", type = "string", length = 20, unique = true },
    { "visits", type = "integer", default = 1 },
    { "score", type = "decimal", precision = 8, scale = 2, nullable = true },
    { "rank", type = "integer", default_sql = "7" },
    { "made", type = "integer", on_create = function() return 5 end },
    { "changed", type = "integer", nullable = true, on_update = function() return 6 end },
    { "home", embedded = Address, nullable = true },
    { "office", embedded = Address, object = true, nullable = true },
    { "bio", type = "text", lazy = true, nullable = true },
    { "secret", type = "string", hidden = true, nullable = true },
    { "version", type = "integer", version = true },
    hooks = { before_create = function() error("no hooks here") end },
}
local Log = orm.entity { name = "Log", { "id", type = "integer", primary = true }, { "text", type = "string" },
    readonly = true }

databases.each(function(db)
    describe("writes of a query", function()
        local work, em

        before_each(function()
            work = library.open(db, { User, Log })
            em = work.em
            work:forget()
        end)

        after_each(function()
            work:close()
            db:close()
        end)

        local function value(sql) return work.raw:value(sql) end

        describe("insert", function()
            it("one row, with defaults, on_create and what the database fills in", function()
                local rows = em:query(User):insert { email = "a", score = "1.5", home = { city = "Oslo" } }
                    :returning():rows()
                assert.equal(1, #rows)
                assert.equal("a 1 1.50 7 5 1", ("%s %d %s %d %d %d"):format(rows[1].email, rows[1].visits,
                    rows[1].score,
                    rows[1].rank, rows[1].made, rows[1].version))
                assert.equal("Oslo", rows[1].home.city)
                assert.is_nil(rows[1].secret)
                assert.same({ { "a", "1", "7", "5", "1", "Oslo" } },
                    work.raw:rows "select email, visits, rank, made, version, home_city from users")
                assert.same(1, work:writes())
            end)

            it("lists, in their order, whatever sets of columns they have, and all or nothing", function()
                local rows = em:query(User, "u"):insert { { email = "a" }, { email = "b", visits = orm.raw("? + 1",
                    4) },
                    { email = "c" }, { email = "d", score = "2" } }:returning("email", "visits"):rows()
                assert.same({ { email = "a", visits = 1 }, { email = "b", visits = 5 }, { email = "c", visits = 1 },
                    { email = "d", visits = 1 } }, rows)
                raises("unique_violation", function()
                    em:query(User):insert { { email = "e" }, { email = "a", score = "1" } }:count()
                end)
                assert.equal("4", value "select count(*) from users")
                assert.equal(2, em:query(Tag):insert { { name = "x", weight = 1 }, { name = "y", weight = 2 } }:count())
                assert.equal(0, em:query(Tag):insert(orm.array {}):count())
                assert.same({}, em:query(Tag):insert { name = "z", weight = 1 }:rows())
            end)

            it("of relations by key and by entity", function()
                local ann = em:find_one(Author, 1)
                local rows = em:query(Book):insert { { title = "X", author = ann }, { title = "Y", author = 2,
                    editor = ann } }
                    :returning("author", "editor"):rows()
                assert.same({ { author = 1 }, { author = 2, editor = 1 } }, rows)
                assert.equal("2", value "select count(*) from books where id > 99")
            end)

            it("many rows in few statements", function()
                local list = {}
                for i = 1, 2500 do list[i] = { name = "t" .. i, weight = i } end
                assert.equal(2500, em:query(Tag):insert(list):count())
                assert.is_true(work:writes "INSERT INTO" <= 4)
                assert.equal("2503", value "select count(*) from tags")
            end)

            it("entities come out managed", function()
                local user = em:query(User):insert { email = "a", secret = "s" }:one()
                assert.is_true(em:contains(user))
                assert.equal(user, em:find_one(User, user.id))
                assert.equal("s", user.secret)
                user.visits = 9
                em:flush()
                assert.equal("9", value "select visits from users")
                raises("not_loaded", function() return user.bio end)
            end)

            it("U4: bad values are refused before anything is sent", function()
                raises("validation", function() em:query(User):insert { email = ("x"):rep(30) }:count() end, "email")
                raises("validation", function() em:query(User):insert { visits = 1 }:count() end, "email")
                raises("unknown_property", function() em:query(User):insert { emial = "x" }:count() end, "'email'")
                raises("validation", function() em:query(User):insert { { email = "a" }, x = 1 }:count() end, "list")
                raises("validation", function() em:query(User):insert("x") end)
                raises("validation", function() em:query(User):insert(op.raw "x") end)
                raises("validation", function() em:query(User):insert(nil) end)
                raises("unsupported", function() em:query(Author):insert { name = "x", books = {} }:count() end)
                assert.equal(0, work:writes())
            end)
        end)

        describe("on_conflict", function()
            before_each(function()
                em:query(User):insert { email = "a", visits = 3, score = "1" }:count()
                work:forget()
            end)

            local function row()
                return work.raw:rows "select visits, score, changed, version from users where email = 'a'"[1]
            end

            it("merges what is given, counts the version on, runs on_update", function()
                local user = em:query(User):insert { email = "a", visits = 8 }:on_conflict { "email" }:one()
                assert.equal(8, user.visits)
                assert.equal("8", row()[1])
                assert.equal("6", row()[3])
                assert.equal("2", row()[4])
                assert.equal("1", value "select count(*) from users")
            end)

            it("ignores, by one key or any", function()
                assert.equal(0, em:query(User):insert { email = "a", visits = 8 }:on_conflict { "email",
                    action = "ignore" }
                    :count())
                assert.same({}, em:query(User):insert { email = "a" }:on_conflict { action = "ignore" }:returning()
                    :rows())
                local rows = em:query(User):insert { { email = "a" }, { email = "b" } }
                    :on_conflict { action = "ignore" }
                    :returning("email"):rows()
                assert.same({ { email = "b" } }, rows)
                assert.equal("3", row()[1])
            end)

            it("takes its options in a table of their own, too, and drops none in silence", function()
                for _, names in ipairs { "email", { "email" } } do
                    assert.equal(0, em:query(User):insert { email = "a", visits = 8 }
                        :on_conflict(names, { action = "ignore" }):count())
                end
                assert.equal("3", row()[1])
                for _, options in ipairs { "ignore", 1, { "visits" } } do
                    raises("validation", function() em:query(User):on_conflict("email", options) end, "on_conflict")
                end
                raises("unknown_property", function() em:query(User):on_conflict("email", { ignore = true }) end)
            end)

            it("merges some, by expressions, under a condition", function()
                em:query(User, "u"):insert { email = "a", visits = 8, score = "9" }
                    :on_conflict { "email", merge = { visits = orm.raw("u.visits + excluded.visits + ?", 1) } }:count()
                assert.equal("12", row()[1])
                em:query(User, "u"):insert { email = "a", visits = 8, score = "9" }
                    :on_conflict { "email", exclude = { "visits" }, where = { visits = op.gt(5) } }:count()
                assert.equal("12", row()[1])
                assert.is_truthy(row()[2]:find "^9")
                assert.equal(0, em:query(User):insert { email = "a", visits = 1 }
                    :on_conflict { "email", where = { visits = op.lt(5) } }:count())
                assert.equal("12", row()[1])
            end)

            it("a list may say a key twice: each is worked off after the other", function()
                assert.equal(2, em:query(User, "u"):insert { { email = "a", visits = 10 }, { email = "a",
                    visits = 20 } }
                    :on_conflict { "email", merge = { visits = orm.raw "u.visits + excluded.visits" } }:count())
                assert.equal("33", row()[1])
            end)

            it("is refused where it makes no sense", function()
                raises("validation", function() em:query(User):insert { email = "a" }:on_conflict { "visits" }
                    :count() end,
                    "unique")
                raises("validation", function() em:query(User):insert { email = "a" }:on_conflict {} end)
                raises("unknown_property", function()
                    em:query(User):insert { email = "a" }:on_conflict { "email", on = 1 }
                end)
                raises("unknown_property", function() em:query(User):insert { email = "a" }:on_conflict { "emial" }
                    :count() end,
                    "'email'")
                raises("validation", function()
                    em:query(User):insert { email = "a" }:on_conflict { "email", action = "replace" }:count()
                end)
                raises("validation", function() em:query(User):on_conflict(7) end)
                raises("validation", function()
                    em:query(User):update { visits = 1 }:where(1):on_conflict { "email" }:count()
                end)
            end)
        end)

        describe("update", function()
            before_each(function()
                em:query(User):insert { { email = "a", visits = 1, home = { city = "Oslo", zip = "1" },
                    office = { city = "Rome" } }, { email = "b", visits = 2 } }:count()
                work:forget()
            end)

            it("values, expressions, keys, parts of embedded values; the version is counted on", function()
                assert.equal(1, em:query(User, "u"):update { visits = orm.raw("u.visits * ? + u.rank", 10), score = "3",
                    home = { city = "Bonn" }, office = { zip = "9" } }:where { email = "a" }:count())
                assert.same({ { "17", "2", "Bonn", "1" } },
                    work.raw:rows "select visits, version, home_city, home_zip from users where email = 'a'")
                assert.is_truthy(value("select office from users where email = 'a'"):find "Rome")
                assert.is_truthy(value("select office from users where email = 'a'"):find "9")
                assert.equal("2", value "select visits from users where email = 'b'")
                assert.equal(3, em:query(Book):update { author = em:find_one(Author, 3) }
                    :where { author = op.not_null() }:count())
                assert.equal(1, em:query(User):update { score = orm.null }:where { email = "a" }:count())
            end)

            it("of rows that relations and sub-queries find", function()
                assert.equal(2, em:query(Book, "b"):update { title = orm.raw "b.title || '!'" }
                    :where { author = { name = "Ann" } }:count())
                assert.equal("A1! A2!", library.names(em:find(Book, { author = 1 }, { order_by = { "id" } })))
                assert.equal(1, em:query(Author):update { name = "Z" }:where { id = op.not_one_of(
                    em:query(Book):select("author")) }:count())
                assert.equal("Z", value "select name from authors where id = 3")
                assert.equal(1, em:query(Author, "a"):update { name = "Y" }:where(op.some(
                    em:query(Book, "b"):where { author = op.ref "a.id", title = "B" })):count())
                assert.equal(2, em:query(Author, "a"):update { name = op.raw "a.name" }
                    :where { books = op.some { id = op.gt(0) } }:count())
            end)

            it("gives back rows and entities", function()
                assert.same({ { email = "a", double = 4 } }, em:query(User):update { visits = 2 }:where { email = "a" }
                    :returning("email", orm.raw "visits * 2 AS double"):rows())
                local user = em:find_one(User, { email = "a" })
                local found = em:query(User):update { visits = 7 }:where { email = "a" }:all()
                assert.equal(user, found[1])
                assert.equal(7, user.visits)
                user.visits = 8
                em:query(User):options { flush_mode = "commit" }:update { score = "5" }:where { email = "a" }:one()
                assert.equal(8, user.visits)
                raises("optimistic_lock", function() em:flush() end)
            end)

            it("managed entities do not follow unless they come out", function()
                local user = em:find_one(User, { email = "a" })
                em:query(User):update { visits = 50 }:where { email = "a" }:count()
                assert.equal(1, user.visits)
                em:refresh(user)
                assert.equal(50, user.visits)
            end)

            it("Q1: without a where it is refused, unless all = true", function()
                raises("validation", function() em:query(User):update { visits = 1 }:count() end, "all = true")
                raises("validation", function() em:query(User):update { visits = 1 }:where {}:count() end, "all = true")
                raises("validation", function() em:query(User):where { email = nil }:delete():count() end, "all = true")
                assert.equal(2, em:query(User):update { visits = 1 }:options { all = true }:count())
                assert.equal(1, em:query(User):where("e0", { email = "a" }):update { visits = 1 }:execute())
            end)

            it("bad values are refused", function()
                raises("validation", function() em:query(User):update {}:where(1):count() end)
                raises("unknown_property", function()
                    em:query(User):update { vists = 1 }:where(1):count()
                end, "'visits'")
                raises("validation", function() em:query(User):update { email = orm.null }:where(1):count() end)
                raises("validation", function() em:query(User):update { email = {} }:where(1):count() end)
                raises("validation", function() em:query(User):update { visits = "x" }:where(1):count() end)
                raises("unsupported", function() em:query(Author):update { books = {} }:where(1):count() end)
            end)
        end)

        describe("delete", function()
            it("rows that conditions find, and gives them back", function()
                assert.equal(1, em:query(Book):delete():where { title = "none" }:count())
                assert.same({ { title = "B" } }, em:query(Book, "b"):delete():where { author = { name = "Ben" } }
                    :returning("title"):rows())
                local book = em:find_one(Book, 1)
                local gone = em:query(Book):delete():where { id = op.one_of { 1, 2 } }:all()
                assert.equal("A1 A2", library.names(gone))
                assert.is_false(em:contains(gone[1]))
                assert.is_true(em:contains(book))
                assert.equal("0", value "select count(*) from books")
                raises("validation", function() em:query(Book):delete():count() end, "all = true")
            end)

            it("a rule that the database enforces", function()
                raises("foreign_key_violation", function() em:query(Author):delete():where(1):count() end)
            end)
        end)

        it("what is pending for the entity is flushed before", function()
            em:persist(Tag { name = "new", weight = 1 })
            assert.equal(1, em:query(Tag):update { weight = 5 }:where { name = "new" }:count())
            assert.equal("5", value "select weight from tags where name = 'new'")
        end)

        it("belong to the transaction that is open", function()
            pcall(em.transactional, em, function(own)
                own:query(Tag):insert { name = "in", weight = 1 }:count()
                own:query(Tag):update { weight = 9 }:options { all = true }:count()
                error("back")
            end)
            assert.equal("0", value "select count(*) from tags where weight = 9 or name = 'in'")
        end)

        it("one, execute, sql and explain", function()
            assert.is_nil(em:query(Tag):update { weight = 1 }:where { name = "nobody" }:one())
            assert.equal("lua", em:query(Tag):update { weight = 4 }:where { name = "lua" }:one().name)
            assert.equal(1, em:query(Tag):update { weight = 4 }:where { name = "lua" }:execute())
            assert.same({ { name = "lua" } },
                em:query(Tag):update { weight = 4 }:where { name = "lua" }:returning("name"):execute())
            work:forget()
            local text, params = em:query(Tag, "t"):update { weight = 4 }:where { name = "lua" }:sql()
            assert.is_truthy(text:find("^UPDATE \"tags\" AS \"t\" SET \"weight\" = .1 WHERE \"t\".\"name\" = .2$"))
            assert.same({ 4, "lua" }, params)
            assert.is_true(#em:query(Tag):delete():where { name = "lua" }:explain() > 0)
            assert.is_true(#em:query(Tag):insert { name = "lua", weight = 1 }:explain() >= (db.name == "postgres"
                and 1 or 0))
            local both, all = em:query(User):insert { { email = "a" }, { email = "b", score = "1" } }:sql()
            assert.is_truthy(both:find ";\n")
            assert.is_true(#all > 4)
            raises("validation", function()
                em:query(User):insert { { email = "a" }, { email = "b", score = "1" } }:explain()
            end)
            assert.equal(0, work:writes())
            raises(db.name == "sqlite" and "unsupported" or "validation", function()
                em:query(Tag):delete():where { name = "lua" }:explain { analyze = true }
            end)
            raises("validation", function() em:query(Tag):delete():where { name = "lua" }:stream() end)
        end)

        it("refuse what has no place in them", function()
            local function query() return em:query(Author, "a"):update { name = "x" }:where { id = 1 } end
            for _, wrong in ipairs { query():join("books", "b"), query():select("name"), query():group_by("id"),
                query():having { id = 1 }, query():order_by("id"), query():limit(1), query():offset(1), query()
                    :distinct(),
                query():lock("pessimistic_write"), query():union(em:query(Author)), query():populate { "books" } } do
                raises("validation", function() wrong:count() end)
            end
            raises("validation", function() query():delete() end, "update")
            raises("validation", function() em:query(Author):insert { name = "x" }:where { id = 1 }:count() end)
            raises("validation", function() em:query(em:query(Author), "x"):delete() end)
            raises("validation", function() em:query():delete() end)
            raises("validation", function()
                em:query(Author):delete():where(1):returning(orm.raw "id + 1"):rows()
            end, "name")
            raises("unknown_property", function()
                em:query(Author):delete():where(1):returning("nam"):rows()
            end, "'name'")
            raises("validation", function()
                em:query(Author):delete():where(1):returning("name", orm.raw "1 AS x"):all()
            end)
            assert.equal("3", value "select count(*) from authors")
        end)

        it("readonly entities are not written, nor is anything inside before hooks", function()
            for _, query in ipairs { em:query(Log):insert { text = "x" }, em:query(Log):delete():where(1),
                em:query(Log):update { text = "x" }:where(1) } do
                raises("read_only", function() query:count() end)
            end
            local refused
            work.instance:on("before_create", function(_, event)
                local ok, err = pcall(function() event.em:query(Tag):delete():where { name = "c" }:count() end)
                refused = not ok and err.kind
                assert.equal(3, event.em:query(Tag):count())
            end)
            em:persist_and_flush(Author { name = "x" })
            assert.equal("hook", refused)
            assert.equal("3", value "select count(*) from tags")
        end)
    end)
end)
