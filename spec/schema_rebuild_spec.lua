-- M2: a SQLite table that is made anew keeps every row of it and of the tables that refer to it, its indexes, triggers
-- and views, or nothing changes. Everything is read back over a raw connection.

local apply = require "heddle.schema.apply"
local databases = require "spec.support.databases"
local orm = require "heddle"
local rebuild = require "heddle.schema.sqlite.rebuild"

databases.on("sqlite", function(db)
    describe("a rebuild", function()
        local instance, raw

        local function open(config)
            instance = orm.init(db:config(config or {}))
            if not (config and config.on_connect) then instance:connect() end
            raw = db:raw()
        end

        after_each(function()
            orm.close()
            db:close()
        end)

        -- Runs steps as schema:update does.
        local function run(...)
            local link, steps = instance:link(), { ... }
            local ok, err = pcall(apply.run, instance, link, steps)
            link:close()
            if not ok then error(err, 0) end
        end

        local function exec(...)
            for _, sql in ipairs { ... } do raw:exec(sql) end
        end

        -- All that the database holds, so that "nothing has changed" can be said of it.
        local function dump()
            local parts = {}
            for _, row in ipairs(raw:rows "select type, name, tbl_name, sql from sqlite_schema order by type, name") do
                parts[#parts + 1] = table.concat({ row[1], row[2], row[3], tostring(row[4]) }, "|")
                if row[1] == "table" and not row[4]:find "VIRTUAL" then
                    for _, line in ipairs(raw:rows('select * from "' .. row[2]:gsub('"', '""') .. '"')) do
                        for i, value in ipairs(line) do line[i] = tostring(value) end
                        parts[#parts + 1] = table.concat(line, ",")
                    end
                end
            end
            return table.concat(parts, "\n")
        end

        local function refused(kind, fn, ...)
            local before = dump()
            local ok, err = pcall(fn)
            assert.is_false(ok)
            assert.is_true(orm.is_error(err, kind), tostring(err))
            for _, word in ipairs { ... } do
                assert.is_truthy(err.message:find(word, 1, true), ("%q is not in: %s"):format(word, err.message))
            end
            assert.equal(before, dump())
            assert.equal(0, instance:pool_stats().in_use)
            return err
        end

        local function family()
            exec("create table parent (id integer primary key autoincrement, name text, age text)",
                "insert into parent values (1, 'Ann', '5'), (2, 'Bob', '7'), (9, 'Cid', null)",
                "delete from parent where id = 9",
                "create table child (id integer primary key, p int not null references parent (id) on delete cascade)",
                "create table pet (id integer primary key, p int default 2 references parent on delete set null)",
                "create table toy (p int primary key default 2 references parent on delete set default "
                    .. "on update cascade)",
                "insert into child values (10, 1), (11, 1), (12, 2)",
                "insert into pet values (1, 1), (2, null), (3, 2)",
                "insert into toy values (1)")
        end

        local PARENT = "create table parent (id integer primary key autoincrement, name text not null, age integer)"

        it("M2: rows of the table and of those that refer to it stay, cascades or not", function()
            for _, journal in ipairs { "WAL", "DELETE", "MEMORY" } do
                open { pragmas = { journal_mode = journal } }
                family()
                run { rebuild = "parent", create = PARENT }
                assert.same({ { "1", "Ann", "5", "integer" }, { "2", "Bob", "7", "integer" } },
                    raw:rows "select id, name, age, typeof(age) from parent")
                assert.same({ { "10", "1" }, { "11", "1" }, { "12", "2" } }, raw:rows "select * from child")
                assert.same({ { "1", "1" }, { "2", false }, { "3", "2" } }, raw:rows "select * from pet")
                assert.same({ { "1" } }, raw:rows "select * from toy")
                -- What refers to it still does.
                raw:exec "pragma foreign_keys = on"
                assert.has_error(function() raw:exec "insert into child values (13, 77)" end)
                raw:exec "delete from parent where id = 1"
                assert.equal("1", raw:value "select count(*) from child")
                assert.same({}, raw:rows "pragma foreign_key_check")
                -- A key that was there once is given to nobody again.
                raw:exec "insert into parent (name) values ('Dot')"
                assert.equal("10", raw:value "select max(id) from parent")
                assert.equal("1", raw:value "select count(*) from sqlite_sequence")
                -- Foreign keys are on again for who gets the connection next.
                assert.equal(1, orm.em():fork():execute("pragma foreign_keys")[1].foreign_keys)
                assert.equal(0, orm.em():fork():execute("pragma legacy_alter_table")[1].legacy_alter_table)
                orm.close()
            end
        end)

        it("M2: an empty table keeps the number that its next key follows", function()
            open()
            family()
            exec("delete from child", "delete from pet", "delete from toy", "delete from parent")
            run { rebuild = "parent", create = PARENT }
            assert.same({ { "parent", "9" } }, raw:rows "select name, seq from sqlite_sequence")
        end)

        it("M2: indexes, triggers and views stay as they are written", function()
            open()
            family()
            exec("create table log (what text)",
                "create unique index [own index] on parent (lower(name) desc, age) where name <> 'it''s ?'",
                "create index plain on parent(name)",
                "create trigger [on update] after update of name on parent when new.name <> old.name begin "
                    .. "insert into log values (old.name || '>' || new.name); end",
                "create trigger before_gone before delete on parent begin "
                    .. "insert into log values ('gone ' || old.id); end",
                "create trigger of_child after insert on child begin update parent set name = name || '!' "
                    .. "where id = new.p; end",
                "create view people as select p.id, p.name, count(c.id) as children from parent p left join child c "
                    .. "on c.p = p.id group by 1, 2",
                "create trigger into_people instead of insert on people begin "
                    .. "insert into parent (name) values (new.name); end")
            local texts = "select name, sql from sqlite_schema where type <> 'table' order by name"
            local before = raw:rows(texts)
            run { rebuild = "parent", create = PARENT }
            assert.same(before, raw:rows(texts))
            exec("insert into people (name) values ('Eve')", "insert into child values (20, 2)",
                "update parent set name = 'Anna' where id = 1", "delete from parent where name = 'Eve'")
            assert.same({ { "Bob>Bob!" }, { "Ann>Anna" }, { "gone 10" } }, raw:rows "select what from log")
            assert.same({ { "1", "Anna", "2" }, { "2", "Bob!", "2" } }, raw:rows "select * from people order by id")
            assert.equal("ok", raw:value "pragma integrity_check")
        end)

        it("M2: rowids stay, which full-text indexes know rows by", function()
            open()
            exec("create table note (body text, kind text)", "insert into note values ('one fish', 'a'), ('two', 'b'), "
                .. "('red fish', 'c')", "delete from note where kind = 'b'",
                "create virtual table found using fts5 (body, content = 'note')",
                "insert into found (found) values ('rebuild')",
                "create trigger note_ai after insert on note begin insert into found (rowid, body) "
                    .. "values (new.rowid, new.body); end")
            run { rebuild = "note", create = "create table note (body text not null, kind text default 'x')" }
            assert.same({ { "1" }, { "3" } }, raw:rows "select rowid from note order by 1")
            assert.same({ { "red fish" } }, raw:rows "select body from found where found match 'red'")
            exec "insert into note (body) values ('blue fish')"
            assert.equal("3", raw:value "select count(*) from found where found match 'fish'")
            -- With a column that hides the name.
            exec("create table hidden (rowid text, oid text)", "insert into hidden values ('a', 'b'), ('c', 'd')",
                "delete from hidden where rowid = 'a'")
            run { rebuild = "hidden", create = "create table hidden (rowid text not null, oid text)" }
            assert.same({ { "2", "c", "d" } }, raw:rows "select _rowid_, rowid, oid from hidden")
        end)

        it("M2: WITHOUT ROWID, STRICT, generated columns, collations and conflict clauses", function()
            open()
            exec([[create table "odd ""one" (k text collate nocase primary key on conflict replace, n int,
                    d int generated always as (n * 2) stored, v int as (n + 1), check ("odd ""one".n < 100)) strict,
                    without rowid]],
                [[insert into "odd ""one" (k, n) values ('a', 1), ('B', 2)]])
            run { rebuild = 'ODD "ONE', create = [[create table 'odd "one' (k text collate nocase primary key, n int,
                d int generated always as (n * 3) stored, v int as (n + 1), e text default 'e',
                check ("odd ""one".n < 50)) strict, without rowid]] }
            assert.same({ { "a", "1", "3", "2", "e" }, { "B", "2", "6", "3", "e" } },
                raw:rows [[select * from "odd ""one" order by k]])
            assert.has_error(function() raw:exec [[insert into "odd ""one" (k, n) values ('x', 60)]] end)
            assert.has_error(function() raw:exec [[insert into "odd ""one" (k, n) values ('x', 'y')]] end)
            assert.has_error(function() raw:exec [[select rowid from "odd ""one"]] end)
            assert.equal("ok", raw:value "pragma integrity_check")
        end)

        it("M2: tables that refer to themselves and to each other", function()
            open()
            exec("create table a (id integer primary key, up int references a on delete cascade, b int references b)",
                "create table b (id integer primary key, a int not null references a (id) on delete cascade)",
                "insert into a values (1, null, null), (2, 1, null), (3, 2, 7)", "insert into b values (7, 3)")
            run({ rebuild = "a", create = "create table a (id integer primary key, up int references a (id) "
                .. "on delete set null, b int references b (id), more text)" },
                { rebuild = "b", create = "create table b (id integer primary key, a int not null references a (id), "
                    .. "x int)" })
            assert.same({ { "1", false, false, false }, { "2", "1", false, false }, { "3", "2", "7", false } },
                raw:rows "select * from a")
            assert.same({ { "7", "3", false } }, raw:rows "select * from b")
            assert.same({ { "a" }, { "b" } }, raw:rows [[select "table" from pragma_foreign_key_list('a') order by 1]])
            assert.same({}, raw:rows "pragma foreign_key_check")
        end)

        it("M2: names that are keywords, comments at the end of lines, statistics", function()
            open()
            exec([[create table "index" ("trigger" int, b)]], [[create index "create" on "index" ("trigger")]],
                [[create trigger if not exists "insert" /* index */ after update on "index" begin select 1; end]],
                [[insert into "index" values (1, 2)]], "create table g (a int, b as (a) -- c\n)",
                "insert into g (a) values (3)", "analyze")
            run({ rebuild = "index", create = [[create table "index" ("trigger" int not null, b)]] },
                { rebuild = "g", create = "create table g (a int not null -- x\n, b as (a) -- y\n, c int -- z\n)" })
            assert.same({ { "create" }, { "insert" } },
                raw:rows "select name from sqlite_schema where type in ('index', 'trigger') order by 1")
            assert.same({ { "1", "2" } }, raw:rows [[select * from "index"]])
            assert.same({ { "3", "3", false } }, raw:rows "select * from g")
            assert.equal("1", raw:value "select count(*) from sqlite_stat1 where tbl = 'index'")
        end)

        it("M2: keys that change their type, come and go", function()
            open()
            exec("create table k (id text primary key, v)", "insert into k values ('7', 1), ('9', 2)")
            run { rebuild = "k", create = "create table k (id integer primary key autoincrement, v)" }
            assert.same({ { "7", "integer", "1" }, { "9", "integer", "2" } },
                raw:rows "select id, typeof(id), v from k")
            assert.equal("9", raw:value "select seq from sqlite_sequence where name = 'k'")
            run { rebuild = "k", create = "create table k (id text primary key, v) without rowid" }
            assert.same({ { "7", "text", "1" }, { "9", "text", "2" } }, raw:rows "select id, typeof(id), v from k")
            assert.is_nil(raw:value "select seq from sqlite_sequence where name = 'k'")
            exec("create table w (v)", "insert into w values ('a'), ('b')", "delete from w where v = 'a'")
            run { rebuild = "w", create = "create table w (id integer primary key autoincrement, v)" }
            assert.same({ { "2", "b" } }, raw:rows "select * from w")
        end)

        it("M2: what cannot be made anew is said", function()
            open()
            exec("create virtual table found using fts5 (a)", "create table t (a, b)", "insert into t values (1, 2)")
            refused("migration", function() run { rebuild = "nope", create = "create table nope (a)" } end, "'nope'")
            refused("migration", function() run { rebuild = "found", create = "create table found (a)" } end, "virtual")
            refused("migration", function() run { rebuild = "t", create = "create table t (a, b" } end, "at its end")
            refused("migration", function() run { rebuild = "t", create = "create table u (a, b)" } end, "'u'")
            refused("syntax", function()
                run { rebuild = "t", create = "create table t (a, b, c)", copy = { c = "nonsense + 1" } }
            end, "nonsense")
            refused("migration", function()
                run { rebuild = "t", create = "create table t (a, b, c)", copy = { c = 1 } }
            end, "copy['c']")
        end)

        it("M2: texts from before strings and names were told apart, and keys that are NULL", function()
            open()
            exec([[create table old (code text primary key, kind text check (kind in ("a", "it's", 'kind')),
                    "order" int check ("order" > 0), loud as (kind || "!"))]],
                "insert into old (code, kind) values (null, 'a'), ('x', 'it''s'), (null, null)")
            run { rebuild = "old", create = [[create table old (code text primary key, kind text
                check (kind in ("a", "it's", 'kind')), "order" int not null default 5 check ("order" > 0),
                loud as (kind || "!"))]] }
            assert.same({ { false, "a!", "5" }, { "x", "it's!", "5" }, { false, false, "5" } },
                raw:rows [[select code, loud, "order" from old order by rowid]])
            assert.has_error(function() exec "insert into old (kind) values ('b')" end)
            refused("migration", function()
                run { rebuild = "old", create = [[create table old (code text primary key not null, kind text,
                    "order" int)]], copy = { loud = false } }
            end, "old.code: 2 rows have NULL")
            refused("migration", function()
                run { rebuild = "old", create = [[create table old (code text primary key, kind text,
                    "order" int) without rowid]], copy = { loud = false } }
            end, "old.code: 2 rows have NULL")
        end)

        -- Refused --------------------------------------------------------------------------------------------------

        it("M2: is refused where foreign keys are on, before anything happens", function()
            open()
            family()
            refused("migration", function()
                instance:new_manager():transactional(function(em)
                    rebuild.run(instance, em.link, { rebuild = "parent", create = PARENT })
                end)
            end, "foreign keys are on", "parent")
        end)

        it("M2: a view or trigger that would no longer work is named, whichever it is", function()
            open()
            family()
            local function without_age()
                run { rebuild = "parent", create = "create table parent (id integer primary key autoincrement, "
                    .. "name text)", copy = { age = false } }
            end
            for name, sql in pairs {
                ["view 'ages'"] = "create view ages as select age from parent",
                ["trigger 'second'"] = "create trigger second after insert on child begin update parent "
                    .. "set age = 1; end",
                ["trigger 'own'"] = "create trigger own after delete on parent begin insert into child "
                    .. "values (old.age, 1); end",
                ["trigger 'of'"] = "create trigger of after update of name, age on parent begin select 1; end",
                ["trigger 'condition'"] = "create trigger condition before insert on parent when new.age > 1 begin "
                    .. "select 1; end",
                ["index 'by age'"] = "create index [by age] on parent (name, age)",
            } do
                exec(sql, "create view fine as select name from parent", "create view broken as select x from nowhere",
                    "create trigger first after insert on child begin select 1; end")
                refused("migration", without_age, name)
                exec("drop view fine", "drop view broken", "drop trigger first",
                    "drop " .. name:gsub("'(.*)'", '"%1"'))
            end
            exec("create view broken as select x from nowhere",
                "create trigger was_broken after insert on child begin select gone from parent; end")
            without_age()
            assert.same({ { "1", "Ann" }, { "2", "Bob" } }, raw:rows "select * from parent")
            assert.equal("3", raw:value "select count(*) from child")
        end)

        it("M2: values that do not fit are counted, table and column named", function()
            open()
            exec "create table v (id integer primary key, a)"
            local MAX, OVER = "9223372036854775807", "9223372036854775808"
            local cases = {
                { "text", "integer", fit = { "'0'", "'-12'", "'5.00'", "'" .. MAX .. "'", "null" },
                    fits = { "0", "-12", "5", MAX, "-" },
                    not_fit = { "'007'", "' 5'", "'5 '", "'x'", "''", "'1e3'", "'5.5'", "'" .. OVER .. "'", "'5.'",
                        "x'35'", "'0x1'" } },
                { "real", "integer", fit = { "5.0", "-0.0", "1e15" }, fits = { "5", "0", "1000000000000000" },
                    not_fit = { "5.5", "1e300", "9.3e18", "-1e999" } },
                { "integer", "text", fit = { "5", MAX, "-1", "null" }, fits = { "5", MAX, "-1", "-" },
                    not_fit = { "x'c3a4'", "x'4100'" } },
                { "real", "text", fit = { "0.5", "0.1", "1.0000000000000002", "2e300" },
                    fits = { "0.5", "0.1", "1.0000000000000002", "2.0e+300" }, not_fit = {} },
                { "text", "real", fit = { "'1.5'", "'-2'", "'0.1'", "'123456789.012345'" },
                    fits = { "1.5", "-2.0", "0.1", "123456789.012345" },
                    not_fit = { "'x'", "'1.2.3'", "'1.'", "'-'", "'--1'", "'1-2'", "'1234567890123456.78'", "''" } },
                { "integer", "real", fit = { "5", "-9007199254740992" }, fits = { "5.0", "-9.00719925474099e+15" },
                    not_fit = { "9007199254740993" } },
                { "text", "blob", fit = { "'ä'" }, fits = { "ä" }, not_fit = {} },
                { "blob", "text", fit = { "x'414243'" }, fits = { "ABC" }, not_fit = { "x'ff'", "x'410042'" } },
                { "integer", "blob", fit = { "null" }, fits = { "-" }, not_fit = { "5" } },
            }
            for _, case in ipairs(cases) do
                local from, to = case[1], case[2]
                local function fresh(list)
                    exec("drop table v", ("create table v (id integer primary key, a %s)"):format(from))
                    for _, value in ipairs(list) do exec("insert into v (a) values (" .. value .. ")") end
                end
                local function change()
                    run { rebuild = "v", create = ("create table v (id integer primary key, a %s)"):format(to) }
                end
                fresh(case.fit)
                change()
                for i, row in ipairs(raw:rows "select coalesce(cast(a as text), '-'), typeof(a) from v order by id") do
                    local label = from .. " " .. to .. " " .. case.fit[i]
                    assert.equal(case.fits[i], row[1], label)
                    if row[2] ~= "null" then assert.equal(to, row[2], label) end
                end
                for _, value in ipairs(case.not_fit) do
                    fresh { value, case.fit[1], value }
                    if raw:value "select typeof(a) from v where id = 1" ~= to then
                        local ok, err = pcall(change)
                        assert.is_false(ok, from .. " " .. to .. " " .. value)
                        assert.is_truthy(err.message:find("v.a: 2 rows hold values", 1, true), err.message)
                        assert.same({ "migration", "v", "a" }, { err.kind, err.table, err.column })
                    end
                end
            end
        end)

        it("M3: NULL where none may be is counted; a default fills it", function()
            open()
            exec("create table n (id integer primary key, a text, b int)", "insert into n values (1, null, 5), "
                .. "(2, 'x', null), (3, null, 6)")
            refused("migration", function()
                run { rebuild = "n", create = "create table n (id integer primary key, a text not null, b int)" }
            end, "n.a: 2 rows have NULL")
            refused("migration", function()
                run { rebuild = "n", create = "create table n (id integer primary key, a text, b int, c int not null)" }
            end, "n.c: 3 rows have NULL")
            run { rebuild = "n", create = "create table n (id integer primary key, a text not null default 'it''s', "
                .. "b int not null default (40 + 2), c int not null default 7)" }
            assert.same({ { "1", "it's", "5", "7" }, { "2", "x", "42", "7" }, { "3", "it's", "6", "7" } },
                raw:rows "select * from n")
        end)

        it("M2: a constraint that fails in the copy, or swallows rows, changes nothing", function()
            open()
            family()
            exec "update parent set name = 'Ann'"
            refused("unique_violation", function()
                run { rebuild = "parent", create = "create table parent (id integer primary key, "
                    .. "name text unique, age)" }
            end, "parent.name")
            refused("check_violation", function()
                run { rebuild = "parent", create = "create table parent (id integer primary key, name text, age text, "
                    .. "check (id < 2))" }
            end)
            refused("migration", function()
                run { rebuild = "parent", create = "create table parent (id integer primary key, "
                    .. "name text unique on conflict ignore, age text)" }
            end, "1 of 2 rows")
            refused("migration", function()
                run { rebuild = "child", create = "create table child (id integer primary key, p int references toy)" }
            end)
        end)

        -- Beside others -------------------------------------------------------------------------------------------

        it("M2: temporary objects of the same names are others", function()
            open { on_connect = function(conn)
                if #conn:execute "select 1 from main.sqlite_schema where name = 'parent'" == 0 then return end
                conn:execute "create temp table seen (what)"
                conn:execute("create temp trigger watch after insert on main.parent begin "
                    .. "insert into seen values (1); end")
                conn:execute "create temp table parent (mine)"
                conn:execute "insert into temp.parent values ('mine')"
                conn:execute "create temp view child as select 1 as x"
            end }
            family()
            exec "create index by_name on parent (name)"
            local texts = raw:rows "select name, sql from sqlite_schema where type = 'index' and sql is not null"
            run { rebuild = "parent", create = PARENT }
            assert.equal("INTEGER", raw:value "select type from pragma_table_info('parent') where name = 'age'")
            assert.same(texts, raw:rows "select name, sql from sqlite_schema where type = 'index' and sql is not null")
            assert.equal("3", raw:value "select count(*) from child")
            local em = orm.em():fork()
            assert.equal("mine", em:execute("select mine from parent")[1].mine)
            em:execute "insert into main.parent (name) values ('Dot')"
            assert.equal(1, em:execute("select count(*) as n from seen")[1].n)
        end)

        it("M2: a database in memory, which is one connection", function()
            instance = orm.init { driver = "sqlite", database = ":memory:", entities = {} }
            local em = instance:new_manager()
            em:execute "create table p (id integer primary key, name text)"
            em:execute "create table c (p int not null references p on delete cascade)"
            em:execute "insert into p values (1, 'Ann')"
            em:execute "insert into c values (1)"
            run { rebuild = "p", create = "create table p (id integer primary key, name text not null)" }
            assert.equal(1, em:execute("select count(*) as n from c join p on p.id = c.p")[1].n)
            assert.equal(1, em:execute("pragma foreign_keys")[1].foreign_keys)
        end)

        local function fill(count)
            exec("create table big (id integer primary key, name text, size text)",
                "create table part (id integer primary key, big int not null references big on delete cascade)",
                "create index part_big on part (big)",
                ("insert into big select value, 'name ' || value, value %% 7 from generate_series(1, %d)"):format(count)
                    :gsub("generate_series%(1, (%d+)%)", "(with recursive n(value) as (select 1 union all select "
                    .. "value + 1 from n where value < %1) select value from n)"),
                "insert into part select id, id from big")
        end

        local BIG = "create table big (id integer primary key, name text not null unique, size integer not null)"

        it("M2: 100,000 rows, while another connection reads what was", function()
            for _, journal in ipairs { "WAL", "DELETE" } do
                open { pragmas = { journal_mode = journal }, options = { busy_timeout = 0.2 } }
                fill(100000)
                if journal == "WAL" then
                    exec("begin")
                    assert.equal("100000", raw:value "select count(*) from big")
                    run { rebuild = "big", create = BIG }
                    assert.equal("TEXT", raw:value "select type from pragma_table_info('big') where name = 'size'")
                    exec("commit")
                else
                    -- Readers keep the writer out; then nothing has changed.
                    exec("begin")
                    raw:value "select count(*) from big"
                    refused("lock_timeout", function() run { rebuild = "big", create = BIG } end)
                    exec("commit")
                    run { rebuild = "big", create = BIG }
                end
                assert.equal("INTEGER", raw:value "select type from pragma_table_info('big') where name = 'size'")
                assert.same({ { "100000", "100000" } }, raw:rows("select count(*), count(distinct b.id) from part p "
                    .. "join big b on b.id = p.big and typeof(b.size) = 'integer' and b.size = b.id % 7"))
                assert.equal("ok", raw:value "pragma integrity_check")
                orm.close()
            end
        end)

        it("M2: a disk that is full changes nothing", function()
            open { pool = { max = 1 } }
            fill(20000)
            local pages = tonumber(raw:value "pragma page_count")
            for _, more in ipairs { 10, 100 } do
                orm.em():fork():execute("pragma max_page_count = " .. pages + more)
                refused("driver", function() run { rebuild = "big", create = BIG } end)
                assert.equal(0, orm.em():fork():execute("pragma legacy_alter_table")[1].legacy_alter_table)
                assert.equal(1, orm.em():fork():execute("pragma foreign_keys")[1].foreign_keys)
            end
            orm.em():fork():execute "pragma max_page_count = 1000000"
            run { rebuild = "big", create = BIG }
            assert.equal("20000", raw:value "select count(*) from part join big on big.id = part.big")
        end)

        it("M2: a process that is killed in the middle leaves the database whole", function()
            for _, journal in ipairs { "WAL", "DELETE" } do
                open { pragmas = { journal_mode = journal } }
                fill(5000)
                local before, path = dump(), instance.config.database
                orm.close()
                -- Killed by itself when the new table has the rows, and when it has the name.
                for _, at in ipairs { "DROP TABLE", "ALTER TABLE", "CREATE INDEX" } do
                    local script = os.tmpname()
                    local file = io.open(script, "w")
                    file:write(([[
                        local orm, core = require "heddle", require "heddle.core"
                        local apply = require "heddle.schema.apply"
                        local item = orm.init { driver = "sqlite", database = %q, entities = {},
                            pragmas = { journal_mode = %q, cache_size = 10 } }
                        local ask = require "heddle.schema.sqlite.ask"
                        local run = ask.run
                        ask.run = function(context, link, sql)
                            if sql:find(%q, 1, true) then
                                io.stdout:write("here\n") io.stdout:flush()
                                os.execute("kill -9 $PPID") core.sleep(30)
                            end
                            return run(context, link, sql)
                        end
                        apply.run(item, item:link(), { { rebuild = "big", create = %q,
                            add_indexes = { "CREATE INDEX new_one ON big (size)" } } })
                        io.stdout:write("ended\n")
                    ]]):format(path, journal, at, BIG))
                    file:close()
                    local pipe = io.popen(os.getenv "HEDDLE_TEST_LUA" .. " " .. script .. " 2>/dev/null")
                    local said = pipe:read "*a"
                    pipe:close()
                    os.remove(script)
                    assert.equal("here\n", said)
                    assert.equal("ok", raw:value "pragma integrity_check")
                    assert.equal(before, dump())
                end
                instance = orm.init { driver = "sqlite", database = path, entities = {} }
                run { rebuild = "big", create = BIG }
                assert.equal("5000", raw:value "select count(*) from part join big on big.id = part.big")
                orm.close()
            end
        end)

        it("M2: a column that nobody speaks of is not lost in silence", function()
            open()
            family()
            local function change(copy)
                run { rebuild = "parent", create = "create table parent (id integer primary key, full text)",
                    copy = copy }
            end
            refused("migration", function() change { full = "name" } end, "'age'", "copy", "false")
            refused("migration", function() change { full = "name", agee = false } end, "'age'")
            refused("migration", function() change { ful = "name", age = false } end, "'full'")
            exec "create table other (id integer primary key, age int check (age > 1), b int, check (age < b))"
            run { rebuild = "other", create = "create table other (id integer primary key, b int not null)",
                copy = { ["*"] = "*" } }
            local text = raw:value "select sql from sqlite_schema where name = 'other'"
            assert.is_truthy(text:find("check (age < b)", 1, true))
            change { full = "name || '?' || coalesce(age, '-')", ["*"] = "*" }
            assert.same({ { "1", "Ann?5" }, { "2", "Bob?7" } }, raw:rows "select id, full from parent")
        end)
    end)
end)
