-- Migrations' small parts that need no database: scripts cut into statements, checksums, names, what statements make.

local checksum = require "heddle.migrations.checksum"
local made = require "heddle.migrations.made"
local names = require "heddle.migrations.names"
local script = require "heddle.migrations.script"
local text = require "heddle.migrations.text"

local function texts(sql, driver)
    local list = {}
    for i, statement in ipairs(script.split(sql, driver)) do list[i] = statement.text end
    return list
end

describe("scripts are cut at semicolons", function()
    for _, driver in ipairs { "postgres", "sqlite" } do
        it("but not in strings, names and comments: " .. driver, function()
            assert.same({ "select 'a;''b'", 'select "x;"', "insert into t values (1)" },
                texts("-- hi;\n/* a; */ select 'a;''b' ; select \"x;\";;\n insert into t values (1);-- tail\n", driver))
            assert.same({ "select 1 -- one; \n + 2" }, texts("select 1 -- one; \n + 2", driver))
            assert.same({}, texts(" \n ; ;\n-- nothing; \n", driver))
            assert.same({}, texts("", driver))
        end)
    end

    it("and not in bodies of SQLite's triggers", function()
        local trigger = "create temp trigger t after insert on x begin select case when 1 then 2 end; "
            .. "update y set a = 1; end"
        assert.same({ trigger, "select 1" }, texts(trigger .. ";\nselect 1", "sqlite"))
        assert.same({ "select [a;b] from `c;d`", "select 2" }, texts("select [a;b] from `c;d`; select 2", "sqlite"))
        assert.same({ "create table trigger_log (a)", "select 2" }, texts("create table trigger_log (a);select 2",
            "sqlite"))
    end)

    it("and not in PostgreSQL's dollar quotes, escapes, rules and SQL bodies", function()
        local parts = {
            "create function f() returns int language sql begin atomic select case when true then 1 end; select 2; end",
            "create or replace procedure p() language sql begin atomic; insert into t values (1); end",
            "select $a$ ; $b$ $a$", "select E'\\';'", "create rule r as on insert to x do also (select 1; select 2)",
            "create function g() returns int as $$ begin; return 1; end $$ language plpgsql",
            "select /* a /* ; */ ; */ 3",
        }
        assert.same(parts, texts(table.concat(parts, ";\n") .. ";", "postgres"))
    end)

    it("each with its line", function()
        local list = script.split("-- a\n\nselect 1;\r\nselect\n2;\n\n  select 3", "sqlite")
        assert.same({ 3, 4, 7 }, { list[1].line, list[2].line, list[3].line })
    end)

    it("in linear time", function()
        local sql = ("insert into t values ('a;b', 1);\n"):rep(20000)
        local started = os.clock()
        assert.equal(20000, #script.split(sql, "postgres"))
        assert.is_true(os.clock() - started < 3)
    end)

    it("what ends the transaction, or is psql's, is no statement of a migration", function()
        for _, sql in ipairs { "BEGIN", "commit", "ROLLBACK", "end", "Start Transaction", "abort", "\\connect x",
            "prepare transaction 'x'", "COPY t (a) FROM stdin" } do
            assert.is_string(script.problem(sql), sql)
        end
        for _, sql in ipairs { "rollback to savepoint a", "savepoint a", "select 1", "copy t from '/x'",
            "endpoint", "create table begin_(a)", "prepare x as select 1" } do
            assert.is_nil(script.problem(sql), sql)
        end
    end)
end)

describe("checksums", function()
    it("stand in databases: they never change", function()
        assert.equal("0000000000000001", checksum "")
        assert.equal("21f5487f3a3a1f27", checksum "ab\nc")
        assert.equal("7cb5df1c02bea439", checksum(("xyz"):rep(1000)))
    end)

    it("do not know one line end from another, and every other byte", function()
        assert.equal(checksum "a\nb\n", checksum "a\r\nb\r\n")
        local seen = {}
        for _, sql in ipairs { "ab", "ba", "a", "aa", "aaa", "a\0", "\0a", "a b", "ab ", "" } do
            assert.is_nil(seen[checksum(sql)], sql)
            seen[checksum(sql)] = true
        end
    end)
end)

describe("names of migrations", function()
    it("are made safe", function()
        assert.equal("add_users", names.safe "Add users!")
        assert.equal("add_users", names.safe "addUsers")
        assert.equal("etc_passwd", names.safe "../../etc/passwd")
        assert.equal("", names.safe "../..")
        assert.is_true(#names.safe(("x"):rep(500)) <= 100)
    end)

    it("begin with the time, behind all that are there: two made in one second are two", function()
        assert.equal("20260102030405", names.stamp({}, 1767323045))
        assert.equal("20260102030406", names.stamp({ "20260102030405_a" }, 1767323045))
        assert.equal("20260102040000", names.stamp({ "20260102035959_a" }, 1767323045))
        assert.equal("20270101000000", names.stamp({ "20200101000000_a", "20261231235959_b" }, 1767323045))
        assert.equal("99999999999999", names.stamp({ "99999999999998_a" }, 1767323045))
    end)

    it("are found whole, by digits, words or path; what is not one of them is told", function()
        local list = { { name = "20260101000000_a" }, { name = "20260102000000_b" }, { name = "20260103000000_b" } }
        for _, given in ipairs { "20260101000000_a", "20260101000000", "a", "x/y/20260101000000_a.lua",
            "20260101000000_a.up.sql", "20260101000000_a.down.sql" } do
            assert.equal(list[1], names.find(list, given, "default"))
        end
        local ok, err = pcall(names.find, list, "b", "default")
        assert.is_false(ok)
        assert.is_truthy(err.message:find("could be '20260102000000_b' or '20260103000000_b'", 1, true))
        ok, err = pcall(names.find, list, "20260101000000_aa", "default")
        assert.is_false(ok)
        assert.equal("migration", err.kind)
        assert.is_truthy(err.message:find("did you mean '20260101000000_a'", 1, true))
    end)
end)

describe("what statements make", function()
    local function by(sql, driver)
        local found = made.by(sql, driver or "postgres")
        return found and table.concat({ found.kind, found.schema or "-", found.name }, " ")
    end

    it("is read off them", function()
        assert.equal("table - users", by "CREATE TABLE Users (id int)")
        assert.equal("table - Users", by("create table Users (id int)", "sqlite"))
        assert.equal('table s a"b', by 'create unlogged table if not exists s."a""b" (x int)')
        assert.equal("table - [x", by("create virtual table `[x` using fts5(a)", "sqlite"))
        assert.equal("view - v", by "create or replace view v as select 1")
        assert.equal("view - v", by "create materialized view if not exists v as select 1")
        assert.equal("type - mood", by "create type mood as enum ('a')")
        assert.equal("function app f", by "create or replace function app.f() returns int")
        assert.equal("table s b", by 'alter table s.a rename to "b"')
        assert.is_nil(by "alter table a rename column b to c")
        assert.is_nil(by "create index i on t (a)")
        assert.is_nil(by "insert into t values ('create table x (a)')")
    end)
end)

describe("the text of a migration", function()
    local load = require "heddle.compat".load

    -- What the functions of a file hand to `m`.
    local function run(made_file)
        local file = assert(load(text.lua(made_file), "=text"))()
        local calls = {}
        local m = { sql = function(_, sql) calls[#calls + 1] = sql end,
            rebuild = function(_, ...) calls[#calls + 1] = { ... } end }
        file.up(m)
        return calls, file
    end

    it("gives every statement back as it was", function()
        local steps = {}
        for i, sql in ipairs { "select 1", "select ']]'", "select 'a]'", "select ']=]' || ']'", "a]", "select '\r\n'",
            "select 'a\nb'", "select \"x\" || '\\n'", "\nselect 1", "select 'é' -- ]==]" } do
            steps[i] = sql
        end
        local calls = run { context = "it's", driver = "sqlite", up = steps, down = {} }
        for i, sql in ipairs(steps) do
            assert.equal(sql, sql:find "^\n" and "\n" .. calls[i]:match "^%s*(.-)%s*$" or calls[i])
        end
    end)

    it("is indented where that changes no value", function()
        local calls, file = run { context = "default", driver = "postgres", down = {},
            up = { "CREATE TABLE a (\n  b text\n)", "SELECT $x$\na$x$" } }
        assert.equal("default", file.context)
        assert.equal("CREATE TABLE a (\n        b text\n      )", calls[1]:match "^%s*(.-)%s*$")
        assert.equal("SELECT $x$\na$x$", calls[2])
    end)

    it("hands on what a rebuild takes", function()
        local calls = run { context = "default", driver = "sqlite", down = {}, up = { {
            rebuild = "a\"b", create = "C \"x\"", drop_indexes = { "i" },
            copy = { ["*"] = "*", full = "\"name\" || 'x'", ["end"] = false },
            add_indexes = { "CREATE INDEX j" } } } }
        assert.same({ { "a\"b", "C \"x\"", { ["*"] = "*", full = "\"name\" || 'x'", ["end"] = false },
            { drop = { "i" }, add = { "CREATE INDEX j" } } } }, calls)
    end)

    it("notes stay comments", function()
        local calls = run { context = "default", driver = "sqlite", up = { "select 1" }, down = {},
            notes = { "Hint: a\nreturn 1", "b" } }
        assert.same({ "select 1" }, calls)
    end)
end)
