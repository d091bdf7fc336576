-- CREATE TABLE and CREATE INDEX as Heddle reads them, against what SQLite itself says of the same table.

local chance = require "spec.support.chance"
local parse = require "heddle.schema.sqlite.parse"
local raw = require "spec.support.raw"
local read = require "heddle.schema.sqlite.read"
local tokens = require "heddle.schema.sqlite.tokens"

local function lower(text) return text and text ~= raw.null and text:lower() or nil end

local function join(list)
    local made = {}
    for i, item in ipairs(list) do made[i] = tostring(item) end
    return table.concat(made, ",")
end

describe("the parser of SQLite's schema", function()
    local db

    before_each(function() db = raw.sqlite(":memory:") end)
    after_each(function() db:close() end)

    local function text_of(name)
        return db:value(("select sql from sqlite_schema where name = '%s'"):format(name:gsub("'", "''")))
    end

    -- Everything that SQLite tells of a table, in words that both sides can be put into.
    local function told(name)
        local said = { columns = {}, keys = {}, uniques = {}, foreign = {} }
        local quoted = "'" .. name:gsub("'", "''") .. "'"
        local keys = {}
        for _, row in ipairs(db:rows("select * from pragma_table_xinfo(" .. quoted .. ")")) do
            local pk = tonumber(row[6])
            if pk > 0 then keys[pk] = lower(row[2]) end
            said.columns[#said.columns + 1] = join { lower(row[2]), lower(row[3]) or "", row[4] == "1" or pk > 0,
                row[7] == "2" and "virtual" or row[7] == "3" and "stored" or "plain" }
        end
        said.primary = join(keys)
        local indexes = "select name, origin from pragma_index_list(" .. quoted .. ") order by seq desc"
        for _, row in ipairs(db:rows(indexes)) do
            if row[2] == "u" then
                local columns = {}
                for _, part in ipairs(db:rows("select name from pragma_index_info('" .. row[1]:gsub("'", "''")
                    .. "')")) do
                    columns[#columns + 1] = lower(part[1])
                end
                if join(columns) ~= said.primary then said.uniques[#said.uniques + 1] = join(columns) end
            end
        end
        local rows = db:rows('select id, seq, "table", "from", "to", on_update, on_delete from pragma_foreign_key_list('
            .. quoted .. ") order by id desc, seq")
        for _, row in ipairs(rows) do
            said.foreign[#said.foreign + 1] = join { lower(row[3]), lower(row[4]), lower(row[5]) or "-",
                lower(row[6]), lower(row[7]) }
        end
        table.sort(said.uniques)
        return said
    end

    local function understood(name)
        local made = read.table(assert(parse.table(text_of(name))))
        local said = { columns = {}, uniques = {}, foreign = {}, keys = {} }
        local keys = {}
        for i, key in ipairs(made.primary and made.primary.columns or {}) do keys[i] = lower(key) end
        said.primary = join(keys)
        for i, column in ipairs(made.columns) do
            local kind = column.generated and (column.virtual and "virtual" or "stored") or "plain"
            -- SQLite tells the first thing in quotes.
            local type = column.type:match '^"([^"]*)"' or column.type:match "^'([^']*)'"
                or column.type:match "^%[(.-)%]"
            said.columns[i] = join { lower(column.name), lower(type or column.type), not column.nullable, kind }
        end
        for _, unique in ipairs(made.uniques) do
            local columns = lower(join(unique.columns))
            if columns ~= said.primary then said.uniques[#said.uniques + 1] = columns end
        end
        for _, fk in ipairs(made.foreign_keys) do
            for i, column in ipairs(fk.columns) do
                said.foreign[#said.foreign + 1] = join { lower(fk.table), lower(column),
                    lower(fk.target_columns and fk.target_columns[i]) or "-", fk.on_update or "no action",
                    fk.on_delete or "no action" }
            end
        end
        table.sort(said.uniques)
        return said
    end

    local texts = {
        [[create table t (a)]],
        [[create table t (a, b, primary key (b, a))]],
        [[create table "t" ("a b" integer primary key autoincrement, [c d] text, `e``f` blob, 'g' real)]],
        [[create table t (id integer constraint pk primary key desc on conflict replace,
            n int not null on conflict ignore)]],
        [[create table t (a varchar(10, 2) collate nocase default 'it''s', b unsigned big int default -5,
            c default (1 + 2), d default +7.5e-3,
            e default current_timestamp, f default x'00ff', g default "text", h default null)]],
        [[create table t (a int check (a > 0) check (a < 10), constraint c check (a <> ')' /* ) */),
            check (a in (1, 2)))]],
        [[create table t (a int references p, b int constraint f references p (x) on delete cascade on update set null
            deferrable initially deferred, c int references p (x) match full not deferrable initially immediate)]],
        [[create table t (a, b, c, foreign key (a, b) references p (x, y) on delete set default on update restrict
            deferrable, constraint f foreign key (c) references t (a) on delete no action)]],
        [[create table t (a, b unique on conflict fail, c, unique (a, c desc) on conflict rollback,
            constraint u unique (c))]],
        [[create table t (a int primary key, b text) without rowid]],
        [[create table t (a int primary key, b text, c any) strict, without rowid]],
        [[create table t (a int, b int generated always as (a * 2) stored, c as (a || ')') virtual, d text as (a))]],
        [[create table t (a integer, b, primary key (a autoincrement))]],
        [[create table t (a int constraint x constraint y not null constraint z, b)]],
        [[create table t (a int, b int constraint one unique unique, constraint two check (b > 1)
            foreign key (a) references p)]],
        [[create table t (-- first
            a int -- , no column
            , /* nor (this */ b text default ')' -- last
            ) -- behind]],
        [[create table t (key int, action text, "order" int, "select" text, desc int, first int, match int)]],
        [[create table t (a generated always, b int generated always as (1))]],
        [[create table t (a int null, b int not null default 1 collate binary, c text null on conflict abort)]],
        [[create temp table if not exists x (a); create table t (a)]],
        [[create table if not exists main.t (a int, unique (a), unique (a), primary key (a))]],
        [[create table t ("a" "my type" (3), b 'x' , c [y z])]],
        [[create table t (größe int, "日本" text, a$b int, _c int)]],
        [[create table t (a text, b integer, unique ("a" collate nocase, 'b'), check (a glob '[a-z]*'))]],
        [[create table t as select 1 as a, 'x' as "b c", 2.5 as d]],
    }

    it("reads what SQLite takes, and sees what SQLite sees", function()
        for _, sql in ipairs(texts) do
            for statement in (sql .. ";"):gmatch "(create temp[^;]*);%s*" do
                db:exec(statement)
                sql = sql:gsub("^create temp[^;]*;%s*", "")
            end
            db:exec(sql)
            assert.same(told "t", understood "t", sql)
            db:exec "drop table t"
        end
    end)

    it("reads what ALTER TABLE has made of a text", function()
        db:exec "create table p (x integer primary key)"
        db:exec [[create table old (id integer primary key, a int check (a > 0), b text /* b */, unique (a, b),
            foreign key (a) references p (x)) -- end]]
        db:exec "alter table old add column c text default 'x' collate nocase"
        db:exec "alter table old add d int references p (x) on delete cascade"
        db:exec "alter table old rename column a to [new a]"
        db:exec [[alter table old rename to "it's new"]]
        db:exec "alter table p rename to [other p]"
        assert.same(told "it's new", understood "it's new")
        local made = read.table(assert(parse.table(text_of "it's new")))
        assert.equal('"new a" > 0', made.checks[1].expression)
        assert.same({ "x" }, made.foreign_keys[1].target_columns)
        assert.equal("other p", made.foreign_keys[2].table)
        db:exec "create table gone (a, b default 5, c)"
        db:exec "alter table gone drop column b"
        assert.same(told "gone", understood "gone")
    end)

    it("takes what is no CREATE TABLE for none, and says where", function()
        for sql, word in pairs {
            ["create table t (a"] = "at its end", ["create view v as select 1"] = "at 'view'",
            ["create table t (a 'x)"] = "never ends", ["create table t (a check (1)"] = "at its end",
            ["create table t (a references)"] = "expected a name at ')'", [""] = "at its end",
        } do
            local made, why = parse.table(sql)
            assert.is_nil(made)
            assert.is_truthy(why:find(word, 1, true), why)
        end
    end)

    it("texts that differ in quotes, case, space, comments or the table's own name are one", function()
        local function form(sql)
            local list = assert(tokens.of(sql))
            local first, last = tokens.bare(list, 1, #list)
            return tokens.text(list, first, last, "My Table")
        end
        for _, same in ipairs {
            { "a > 1 AND b IS NOT NULL", "A>1 and [b] is not /* x */ null", '("my table".a > 1 and `B` is not null)' },
            { "lower( name ) = 'X'", 'LOWER("name")=\'X\'', "lower(name) == 'X'" },
            { "a in ('x', 'y')", "a IN('x','y')", "a -- c\n in('x' ,'y')" },
            { 'a <> "select"', "a != [select]", "`A`<>`Select`" },
            { "a || 'it''s' -> 1", "a||'it''s'->1" },
        } do
            for i = 2, #same do assert.equal(form(same[1]), form(same[i])) end
        end
        for _, different in ipairs {
            { "a = 'x'", "a = 'X'" }, { "a > b", "a >= b" }, { "a - b", "a -> b" }, { "f(a)", "f(a, b)" },
            { "a = 'b'", "a = b" }, { "a = \"b c\"", "a = 'b c'" }, { "(a) or (b)", "a or b" },
        } do
            assert.not_equal(form(different[1]), form(different[2]))
        end
    end)

    it("one form is SQL that means the same", function()
        db:exec [[create table t ("a" int, "select" text, "group by" real, "B c" text)]]
        db:exec [[insert into t values (5, 'it''s', 2.5, 'x'), (-1, '', 0, 'Y'), (null, null, null, null)]]
        for _, sql in ipairs {
            [["A" between 1 AND 10]], [["select" LIKE 'IT''%' ESCAPE '\']],
            [[CASE WHEN a > 0 THEN "group by" ELSE [B c] END]],
            [[coalesce(`select`, 'N') || ' ' || upper([b C])]], [[CAST(a AS text) || x'41']],
            [[a IN (5, -1) AND NOT a ISNULL]],
            [[(a + 1) * -2 << 1 | 3]], [[a % 2 = 1 OR (a IS NULL AND "select" NOT NULL)]], [[1e3 + .5 + 0x1F + a]],
            [[json_extract('{"a":' || a || '}', '$.a')]], [["B c" COLLATE NOCASE = 'y']], [[a == 5 or a <> 6]],
            [[EXISTS (SELECT 1 WHERE a > 1)]], [[CURRENT_DATE > 'a' AND TRUE]], [[iif(a > 1, -a, + a)]],
        } do
            local form = tokens.text(tokens.of(sql))
            assert.same(db:rows("select " .. sql .. " from t"), db:rows("select " .. form .. " from t"), sql)
            assert.equal(form, tokens.text(tokens.of(form)))
        end
    end)

    it("reads indexes", function()
        db:exec "create table t (a int, b text collate nocase, \"c d\" text, date text)"
        local function index(sql)
            db:exec(sql)
            local made = read.index(assert(parse.index(text_of "i")), read.table(parse.table(text_of "t")))
            db:exec "drop index i"
            return made
        end
        local made = index [[create unique index if not exists main.i on t (a, "B" desc, [c d] collate nocase asc,
            lower( "c d" ) desc, (a), date(date)) where ("T".a > 1)]]
        assert.is_true(made.unique)
        assert.equal("a > 1", made.where)
        assert.same({
            { column = "a", desc = false }, { column = "b", desc = true },
            { column = "c d", desc = false, collation = "nocase" }, { expression = 'lower("c d")', desc = true },
            { column = "a", desc = false }, { expression = "date(date)", desc = false },
        }, made.parts)
        made = index "create index i on t (b collate nocase, b collate binary, a collate binary, a + 1 collate nocase)"
        assert.same({
            { column = "b", desc = false }, { column = "b", desc = false, collation = "binary" },
            { column = "a", desc = false }, { expression = "a + 1", desc = false, collation = "nocase" },
        }, made.parts)
        assert.is_nil(made.where)
    end)

    -- Chance -------------------------------------------------------------------------------------------------------

    local function table_text(random)
        local function one(list) return list[random(1, #list)] end
        local function maybe(text) return random(1, 2) == 1 and text or "" end
        local function named(text) return maybe("constraint n" .. random(1, 99) .. " ") .. text end
        local function action()
            return one { "", " on delete cascade", " on update set null", " ON DELETE SET DEFAULT on update restrict",
                " on delete no action match simple", " on update cascade deferrable initially deferred" }
        end
        local spellings = { "%s", '"%s"', "[%s]", "`%s`", "'%s'" }
        local names = { "a", "b", "c", "d e", "key", "x'y", 'q"r', "ünï" }
        local function spell(name)
            local how = one(spellings)
            if name:find "[^%w]" and how == "%s" then how = "[%s]" end
            if how == '"%s"' then name = name:gsub('"', '""') end
            if how == "'%s'" then name = name:gsub("'", "''") end
            return (how:gsub("%%s", function() return name end))
        end
        local space = { " ", "\n ", " /* , ) */ ", " -- ' (\n" }
        local count = random(1, #names)
        local columns, primary = {}, random(1, 3)
        for i = 1, count do
            local parts = { spell(names[i]), one { "", "int", "INTEGER", "varchar(10)", "decimal(8, 2)", '"my type"' } }
            local function add(text) parts[#parts + 1] = text end
            if random(1, 3) == 1 then add(named "not null" .. maybe " on conflict abort") end
            if random(1, 3) == 1 then
                add(named("default " .. one { "5", "-5", "+1.5", "'it''s, ('", "(1 + (2))", "null", "current_time",
                    "x'0F'", "true", "word", '"two words"' }))
            end
            if random(1, 4) == 1 then add(named "unique") end
            if random(1, 4) == 1 then add(named("check (" .. spell(names[i]):gsub("^'", "1 or '") .. " <> ')')")) end
            if random(1, 4) == 1 then add("collate " .. one { "nocase", "RTRIM", '"binary"' }) end
            if random(1, 4) == 1 then add(named("references " .. spell "p" .. maybe "(x)" .. action())) end
            if primary == 1 and i == 1 then add(named("primary key" .. maybe " asc")) end
            columns[i] = table.concat(parts, one(space))
        end
        if primary == 2 then columns[#columns + 1] = named("primary key (" .. spell(names[count]) .. ")") end
        if random(1, 3) == 1 then columns[#columns + 1] = named "check (1 <> 2)" end
        if random(1, 3) == 1 then
            local key = "foreign key (" .. spell(names[1]) .. ") references p"
            columns[#columns + 1] = named(key .. maybe " (x)" .. action())
        end
        if random(1, 3) == 1 then
            columns[#columns + 1] = named("unique (" .. spell(names[1]) .. maybe " desc" .. ")")
        end
        local body = table.concat(columns, one(space) .. "," .. one(space))
        return "create table " .. spell "t" .. one(space) .. "(" .. body .. ")"
            .. (primary ~= 3 and maybe " without rowid" or "")
    end

    it("reads any table that chance writes as SQLite reads it", function()
        local generator = chance.generator(chance.seed(1))
        local function random(first, last) return first - 1 + generator(last - first + 1) end
        for _ = 1, chance.runs(1500) do
            local sql = table_text(random)
            db:exec(sql)
            assert.same(told "t", understood "t", sql)
            db:exec "drop table t"
        end
    end)
end)
