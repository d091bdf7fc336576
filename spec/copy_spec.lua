-- COPY: many new rows of one table on PostgreSQL (O4), and when their statements stay INSERTs.

local databases = require "spec.support.databases"
local orm = require "heddle"
local relay = require "spec.support.relay"
local unit = require "spec.support.unit"

local MANY = 4000

local Author = orm.entity { name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "born", type = "timestamp", nullable = true },
    { "rating", type = "double", nullable = true },
    { "tags", type = "json", nullable = true },
}
local Book = orm.entity { name = "Book", table = "books",
    { "id", type = "bigint", primary = true },
    { "title", type = "string" },
    { "author", many_to_one = "Author" },
}
local Price = orm.entity { name = "Price", table = "prices",
    { "id", type = "integer", primary = true },
    { "amount", type = "decimal", precision = 10, scale = 2 },
}
local Default = orm.entity { name = "Default", table = "defaults",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "state", type = "string", default_sql = "'new'" },
}

databases.on("postgres", function(db)
    describe("COPY", function()
        local work, em, raw

        local function open(overrides)
            work = unit.open(db, { Author, Book, Price, Default }, overrides)
            em, raw = work.em, work.raw
        end

        before_each(function() open() end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function persist(E, count, make)
            local list = {}
            for i = 1, count do
                list[i] = E(make(i))
                em:persist(list[i])
            end
            return list
        end

        local function author(i)
            return { name = "a\t" .. i, born = 1500000000 + i / 4, rating = i / 8, tags = { n = i, list = { "x", i } } }
        end

        local function copies() return #work:statements "^COPY" end

        -- Every row under the key that its instance has, as the program gave it.
        local function check_authors(list)
            local rows, expected = raw:rows [[select id, name, extract(epoch from born)::float8, rating, tags ->> 'n'
                from authors order by id]], {}
            assert.equal(#list, #rows)
            for _, a in ipairs(list) do expected[tostring(a.id)] = a end
            for _, row in ipairs(rows) do
                local a = expected[row[1]]
                assert(a, "no instance has the key " .. row[1])
                local same = row[2] == a.name and tonumber(row[3]) == a.born and tonumber(row[4]) == a.rating
                    and tonumber(row[5]) == (a.tags and a.tags.n)
                assert(same, "a row differs from its instance: " .. row[2])
            end
        end

        it("O4: thousands of new rows go by COPY, with keys of the sequence", function()
            local list = persist(Author, MANY, author)
            em:flush()
            assert.equal(1, copies())
            assert.equal(0, work:writes())
            check_authors(list)
            list[7].name = "changed"
            em:flush()
            check_authors(list)
            assert.equal(list[7], em:find_one(Author, list[7].id))
            work:forget()
            em:flush()
            assert.same({}, work:statements())
        end)

        it("O4: fewer rows, or another batch_size, are INSERTs, and hold the same", function()
            local few = persist(Author, MANY - 1, author)
            em:flush()
            assert.equal(0, copies())
            check_authors(few)
            work:close()
            db:close()
            open { batch_size = 500 }
            local list = persist(Author, MANY, author)
            em:flush()
            assert.equal(0, copies())
            assert.equal(8, work:writes "INSERT INTO")
            check_authors(list)
        end)

        it("U5: of rows with different sets of fields those are copied that are many alike", function()
            local list = persist(Author, MANY + 100, function(i)
                local row = author(i)
                if i > MANY then row[i % 2 > 0 and "born" or "rating"] = nil end
                return row
            end)
            em:flush()
            assert.equal(1, copies())
            assert.equal(2, work:writes())
            check_authors(list)
        end)

        it("O1: parents are copied before their children, with references to new keys, beside other writes", function()
            local changed = persist(Author, 2, function(i) return { name = "old " .. i } end)
            em:flush()
            work:forget()
            changed[1].name = "new"
            em:remove(changed[2])
            for i = 1, MANY do
                em:persist(Book { title = "b" .. i, author = Author { name = "n" .. i } })
            end
            em:flush()
            assert.equal(2, copies())
            assert.equal(2, work:writes())
            assert.equal(tostring(MANY), raw:value [[select count(*) from books b join authors a on a.id = b.author_id
                where substr(a.name, 2) = substr(b.title, 2)]])
            assert.same({ { "1", "0" } }, raw:rows [[select count(*) filter (where name = 'new'),
                count(*) filter (where name like 'old%') from authors]])
        end)

        it("F1, F5: a row that is refused undoes the flush; mended, everything is written once", function()
            raw:exec "insert into authors (name) values ('taken')"
            local list = persist(Author, MANY, author)
            list[3000].name = "taken"
            local err = unit.raises("unique_violation", em.flush, em)
            assert.equal("name", err.property)
            assert.equal("Author", err.entity)
            assert.is_nil(list[1].id)
            assert.equal("1", raw:value "select count(*) from authors")
            list[3000].name = "free"
            em:flush()
            raw:exec "delete from authors where name = 'taken'"
            check_authors(list)
        end)

        it("F3: inside of transactions and savepoints", function()
            local list
            em:transactional(function()
                pcall(em.transactional, em, function()
                    persist(Author, MANY, function(i) return { name = "lost " .. i } end)
                    em:flush()
                    assert.equal(1, copies())
                    error "no"
                end)
                list = persist(Author, MANY, author)
                em:flush()
                assert.equal(2, copies())
            end)
            check_authors(list)
        end)

        it("where a transaction sees the schema as it was once, rows are not copied", function()
            local list
            em:transactional(function()
                list = persist(Author, MANY, author)
                em:flush()
            end, { isolation = "repeatable read" })
            assert.equal(0, copies())
            check_authors(list)
        end)

        it("a trigger that changes rows, or drops them, is seen before", function()
            raw:exec [[create function changes() returns trigger language plpgsql as
                'begin new.id := new.id + 100000; return new; end';
                create trigger changes before insert on authors for each row execute function changes()]]
            local list = persist(Author, MANY, author)
            em:flush()
            assert.equal(0, copies())
            assert.is_true(list[1].id > 100000)
            check_authors(list)
        end)

        it("triggers that come behind the rows change nothing of it", function()
            raw:exec [[create table seen (n bigint);
                create function sees() returns trigger language plpgsql as
                'begin insert into seen select count(*) from fresh; return null; end';
                create trigger sees after insert on authors referencing new table as fresh
                    for each statement execute function sees()]]
            local list = persist(Author, MANY, author)
            em:flush()
            assert.equal(1, copies())
            assert.equal(tostring(MANY), raw:value "select sum(n) from seen")
            check_authors(list)
        end)

        for name, sql in pairs {
            ["a rule"] = "create rule r as on delete to authors do also notify happened",
            ["a column of another type"] = "alter table authors alter id type bigint",
            ["a column whose type is a domain"] =
                "create domain short as varchar(40); alter table authors alter name type short",
            ["rows that policies guard"] = "alter table authors enable row level security",
        } do
            it(name .. " keeps rows from being copied", function()
                raw:exec(sql)
                local list = persist(Author, MANY, author)
                em:flush()
                assert.equal(0, copies())
                check_authors(list)
            end)
        end

        it("a role without the right to the whole table inserts its columns", function()
            raw:exec(([[drop role if exists heddle_copier; create role heddle_copier;
                grant usage on schema %s to heddle_copier;
                grant insert (id, name, born, rating, tags), select on authors to heddle_copier;
                grant usage, select on sequence authors_id_seq to heddle_copier]]):format(
                raw:value "select current_schema()"))
            local list
            local ok, err = pcall(function()
                em:transactional(function()
                    em:execute "set local role heddle_copier"
                    list = persist(Author, MANY, author)
                    em:flush()
                end)
                assert.equal(0, copies())
                check_authors(list)
            end)
            raw:exec "drop owned by heddle_copier; drop role heddle_copier"
            assert(ok, err)
        end)

        it("U5: what the database fills in, and types without a binary form, are INSERTs", function()
            local made = persist(Default, MANY, function(i) return { name = "d" .. i } end)
            local prices = persist(Price, MANY, function(i) return { amount = ("%d.%02d"):format(i, i % 100) } end)
            em:flush()
            assert.equal(0, copies())
            assert.equal("new", made[MANY].state)
            assert.equal(tostring(MANY), raw:value [[select count(*) from prices
                where amount = trunc(amount) + (trunc(amount)::int % 100) / 100.0]])
            assert.equal("7.07", prices[7].amount)
            -- Given by the program, nothing comes back.
            work:forget()
            persist(Default, MANY, function(i) return { name = "d" .. i, state = "old" } end)
            em:flush()
            assert.equal(1, copies())
            assert.equal(tostring(MANY), raw:value "select count(*) from defaults where state = 'old'")
        end)

        it("O4: it costs two round trips", function()
            work:close()
            db:close()
            local r = relay.start()
            local ok, err = pcall(function()
                open { host = r.host, port = r.port }
                em:execute "select 1"
                local list = persist(Author, MANY, author)
                r:reset()
                em:flush()
                assert.equal(1, copies())
                assert.equal(4, r:turns()) -- keys, the command, its rows, commit
                check_authors(list)
            end)
            r:stop()
            assert(ok, err)
        end)
    end)
end)
