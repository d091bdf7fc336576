-- em:query: joins over relations of every kind, entities and queries; what stands in their ON.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local orm = require "heddle"
local staff = require "spec.support.staff"
local unit = require "spec.support.unit"

local op, raises = orm.op, expect.raises
local Author, Book, Playlist, Profile, Student, Track =
    library.Author, library.Book, library.Playlist, library.Profile, library.Student, library.Track

databases.each(function(db)
    describe("joins of a query", function()
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

        -- Rows as texts, and what SQL written by hand gives.
        local function texts(rows, names)
            local list = {}
            for i, row in ipairs(rows) do
                local parts = {}
                for k, name in ipairs(names) do parts[k] = tostring(row[name] == nil and "-" or row[name]) end
                list[i] = table.concat(parts, " ")
            end
            return list
        end

        local function same(sql, query, names)
            local list = {}
            for i, row in ipairs(work.raw:rows(sql)) do
                for k, value in ipairs(row) do row[k] = value or "-" end
                list[i] = table.concat(row, " ")
            end
            assert.same(list, texts(query:rows(), names))
            assert.is_true(#list > 0)
        end

        it("over one_to_many, left and inner", function()
            same([[select a.name, b.title from authors a left join books b on b.author_id = a.id order by a.id, b.id]],
                em:query(Author, "a"):select("a.name", "b.title"):left_join("books", "b"):order_by("a.id", "b.id"),
                { "name", "title" })
            same([[select a.name, b.title from authors a join books b on b.author_id = a.id order by b.id]],
                em:query(Author, "a"):select("a.name", "b.title"):join("books", "b"):order_by("b.id"), { "name",
                    "title" })
        end)

        it("over many_to_one and both sides of one_to_one", function()
            same([[select b.title, a.name from books b left join authors a on a.id = b.editor_id order by b.id]],
                em:query(Book, "b"):select("title", "e.name"):left_join("b.editor", "e")
                    :order_by("b.id"), { "title", "name" })
            same([[select a.name, p.site from authors a left join profiles p on p.author_id = a.id order by a.id]],
                em:query(Author, "a"):select("name", "p.site"):left_join("profile", "p")
                    :order_by("a.id"), { "name", "site" })
            same([[select p.site, a.name from profiles p join authors a on a.id = p.author_id order by a.id]],
                em:query(Profile, "p"):select("site", "a.name"):join("author", "a"):order_by("a.id"), { "site",
                    "name" })
        end)

        it("over many_to_many from both sides, with itself, and with composite keys", function()
            same([[select b.title, t.weight from books b left join books_tags bt on bt.book_id = b.id
                left join tags t on t.name = bt.tag_name order by b.id, t.name]],
                em:query(Book, "b"):select("b.title", "t.weight"):left_join("tags", "t"):order_by("b.id", "t.name"),
                { "title", "weight" })
            same([[select t.name, b.title from tags t join books_tags bt on bt.tag_name = t.name
                join books b on b.id = bt.book_id order by t.name, b.id]],
                em:query(library.Tag, "t"):select("t.name", "b.title"):join("books", "b"):order_by("t.name", "b.id"),
                { "name", "title" })
            same([[select a.name, f.name from authors a join authors_friends x on x.author_1_id = a.id
                join authors f on f.id = x.author_2_id order by a.id, f.id]],
                em:query(Author, "a"):select { "name", friend = "f.name" }:join("friends", "f")
                    :order_by("a.id", "f.id"),
                { "name", "friend" })
            same([[select a.name, f.name from authors a join authors_friends x on x.author_2_id = a.id
                join authors f on f.id = x.author_1_id order by a.id, f.id]],
                em:query(Author, "a"):select { "name", fan = "f.name" }:join("fans", "f"):order_by("a.id", "f.id"),
                { "name", "fan" })
            same([[select p.name, x.track_disc, x.track_no from playlists p join playlists_tracks x
                on x.playlist_owner = p.owner and x.playlist_name = p.name order by p.name, x.track_disc, x.track_no]],
                em:query(Playlist, "p"):select("p.name", "t.disc", "t.no"):join("tracks", "t")
                    :order_by("p.name", "t.disc", "t.no"), { "name", "disc", "no" })
            same([[select t.disc, x.playlist_name from tracks t left join playlists_tracks x on x.track_disc = t.disc
                and x.track_no = t.no order by t.disc, t.no, x.playlist_name]],
                em:query(Track, "t"):select("t.disc", "l.name"):left_join("lists", "l")
                    :order_by("disc", "no", "l.name"),
                { "disc", "name" })
            same([[select s.name, c.name from students s join enrolments e on e.student_id = s.id
                join courses c on c.id = e.course_id order by s.id, c.id]],
                em:query(Student, "s"):select { "name", course = "c.name" }:join("courses", "c")
                    :order_by("s.id", "c.id"),
                { "name", "course" })
        end)

        it("on and on; the alias is the relation's name when it is left out", function()
            same([[select a.name, b.title, t.name from authors a join books b on b.author_id = a.id
                left join books_tags x on x.book_id = b.id left join tags t on t.name = x.tag_name order by b.id,
                    t.name]],
                em:query(Author, "a"):select { "name", "books.title", tag = "tags.name" }:join("books")
                    :left_join("books.tags"):order_by("books.id", "tags.name"), { "name", "title", "tag" })
        end)

        it("a condition narrows down what is joined, not what is found", function()
            same([[select a.name, b.title from authors a left join books b on b.author_id = a.id and b.title like 'A%'
                and b.id > 1 order by a.id]],
                em:query(Author, "a"):select("name", "b.title"):left_join("books", "b", { title = op.like "A%" },
                    op.raw("b.id > ?", 1)):order_by("a.id"), { "name", "title" })
            same([[select a.name, b.title from authors a left join books b on b.author_id = a.id and b.title > a.name
                order by a.id]],
                em:query(Author, "a"):select("name", "b.title"):left_join("books", "b",
                    { title = op.gt(op.ref "a.name") })
                    :order_by("a.id", "b.id"), { "name", "title" })
            same([[select b.title, t.name from books b left join (books_tags x join tags t on t.name = x.tag_name)
                on x.book_id = b.id and t.weight > 1 order by b.id, t.name]],
                em:query(Book, "b"):select("title", "t.name"):left_join("tags", "t", { weight = op.gt(1) })
                    :order_by("b.id", "t.name"), { "title", "name" })
        end)

        it("a condition may reach on from what is joined, and from what is there", function()
            same([[select a.name, b.title from authors a left join books b on b.author_id = a.id and exists
                (select 1 from authors e where e.id = b.editor_id and e.name = 'Ben') order by a.id, b.id]],
                em:query(Author, "a"):select("name", "b.title"):left_join("books", "b", { editor = { name = "Ben" } })
                    :order_by("a.id", "b.id"), { "name", "title" })
            same([[select a.name, b.title from authors a left join books b on b.author_id = a.id and exists
                (select 1 from profiles p where p.author_id = a.id and p.site like 'ann%') order by a.id, b.id]],
                em:query(Author, "a"):select("name", "b.title"):left_join("books", "b",
                    { ["a.profile"] = { site = op.like "ann%" } }):order_by("a.id", "b.id"), { "name", "title" })
            -- What the join has reached is there for the rest of the query.
            same([[select a.name, b.title from authors a left join (books b left join authors e on e.id = b.editor_id)
                on b.author_id = a.id and e.name = 'Ben' where e.name = 'Ben' order by e.name, b.id desc]],
                em:query(Author, "a"):select("a.name", "b.title"):left_join("books", "b", { editor = { name = "Ben" } })
                    :where("b", { editor = { name = "Ben" } }):order_by("b.editor.name", "b.id desc"), { "name",
                        "title" })
            same([[select a.name, b.title from authors a left join books b on b.author_id = a.id and exists
                (select 1 from books_tags x where x.book_id = b.id and x.tag_name = 'c') order by a.id]],
                em:query(Author, "a"):select("a.name", "b.title"):left_join("books", "b",
                    { tags = op.some { name = "c" } }):order_by("a.id"), { "name", "title" })
        end)

        it("an entity that no relation leads to needs a condition", function()
            same([[select a.name, b.title from authors a left join books b on b.title = a.name || '1' order by a.id]],
                em:query(Author, "a"):select("name", "b.title"):left_join(Book, "b",
                    op.raw("b.title = a.name || ?", "1")):order_by("a.id"), { "name", "title" })
            same([[select a.name, o.name from authors a join authors o on o.id > a.id order by a.id, o.id]],
                em:query(Author, "a"):select { "name", other = "o.name" }:join("Author", "o",
                    { id = op.gt(op.ref "a.id") })
                    :order_by("a.id", "o.id"), { "name", "other" })
            raises("validation", function() em:query(Author, "a"):join(Book, "b"):rows() end, "condition")
            raises("validation", function() em:query(Author, "a"):join(Book, nil, { id = 1 }):rows() end, "alias")
            raises("validation", function() em:query(Author, "a"):join(Book, "b", {}):rows() end, "condition")
        end)

        it("a query can be joined, and relations lead on from what it gives", function()
            local counts = em:query(Book):select { "author", n = orm.fn.count() }:group_by("author")
            same([[select a.name, x.n from authors a left join (select author_id, count(*) as n from books group by
                author_id) x
                on x.author_id = a.id order by a.id]],
                em:query(Author, "a"):select("name", "x.n"):left_join(counts, "x", { author = op.ref "a.id" })
                    :order_by("a.id"),
                { "name", "n" })
            same([[select a.name, p.site from (select author_id, count(*) as n from books group by author_id) x
                join authors a on a.id = x.author_id left join profiles p on p.author_id = a.id order by a.name]],
                em:query(counts, "x"):select("a.name", "p.site"):join("author", "a"):left_join("a.profile", "p")
                    :order_by("a.name"),
                { "name", "site" })
            assert.equal(1, em:query(counts, "x"):where { author = { name = "Ann" }, n = 2 }:count())
        end)

        it("what is joined to the outside makes everything behind it outer", function()
            same([[select a.name, p.site from authors a left join books b on b.author_id = a.id and b.id = 3
                left join authors e on e.id = b.editor_id left join profiles p on p.author_id = e.id
                order by p.site nulls last, a.id]],
                em:query(Author, "a"):select("a.name", "p.site"):left_join("books", "b", { id = 3 })
                    :left_join("b.editor", "e")
                    :left_join("e.profile", "p"):order_by("p.site", "a.id"), { "name", "site" })
        end)

        it("joins what is joined once for each alias", function()
            same([[select x.title, y.title from authors a join books x on x.author_id = a.id join books y on
                y.author_id = a.id
                and y.id > x.id order by x.id, y.id]],
                em:query(Author, "a"):select { one = "x.title", two = "y.title" }:join("books", "x")
                    :join("books", "y", { id = op.gt(op.ref "x.id") }):order_by("x.id", "y.id"), { "one", "two" })
        end)
    end)

    describe("joins of a query over entities that share a table", function()
        it("find their own rows only", function()
            local made = staff.define()
            local work = unit.open(db, made.entities)
            local em = work.em
            local team = made.Team { name = "core" }
            local boss = made.Manager { name = "Bea", salary = 9, team = team }
            em:persist(team, boss, made.Employee { name = "Eli", salary = 5, team = team, boss = boss },
                made.Customer { name = "Cy", team = team, boss = boss })
            em:flush()
            em:clear()
            local function names(list)
                local found = {}
                for i, row in ipairs(list) do found[i] = row.name end
                return table.concat(found, " ")
            end
            assert.equal("Bea Eli", names(em:query(made.Employee, "e"):order_by("id"):all()))
            assert.equal(2, em:query(made.Employee):count())
            local found = em:query(made.Person, "p"):order_by("id"):all()
            assert.equal("Bea Eli Cy", names(found))
            assert.equal(108, found[1]:pay())
            assert.equal("Bea Eli", names(em:query(made.Team, "t"):join(made.Employee, "e", { team = op.ref "t.id" })
                :select("e.name"):order_by("e.id"):rows()))
            assert.equal("Eli Cy", names(em:query(made.Manager, "m"):join("reports", "r"):select("r.name")
                :order_by("r.id"):rows()))
            assert.equal("Cy", names(em:query(made.Person, "p"):where(op.none(
                em:query(made.Employee, "e"):where { id = op.ref "p.id" })):all()))
            assert.equal(1, em:query(made.Customer):update { credit = "3" }:where { name = op.like "%" }:count())
            assert.equal("1", work.raw:value "select count(*) from people where cast(credit as text) = '3.00'")
            local made_rows = em:query(made.Employee):insert { { name = "Flo", salary = 5 },
                { name = "Gus", salary = orm.raw("2 + ?", 4) } }:all()
            assert.equal("Flo Gus", names(made_rows))
            assert.equal(72, made_rows[2]:pay())
            assert.equal("Bea", names(em:query(made.Manager):update { bonus = "8" }:where { name = "Bea" }
                :returning("name")
                :rows()))
            assert.equal("Eli Cy", names(em:query(made.Person, "p"):join("boss", "m"):where { ["m.bonus"] = "8.00" }
                :order_by("p.id"):all()))
            assert.equal("Eli", names(em:query(made.Employee):delete():where { boss = { name = "Bea" } }:all()))
            work:close()
            db:close()
        end)
    end)
end)
