-- Entities from schema models: names, types, defaults, and what cannot be said.

local defaults = require "heddle.generate.defaults"
local generate = require "heddle.generate"
local naming = require "heddle.naming"
local schemas = require "spec.support.schemas"
local source = require "heddle.generate.source"
local types = require "heddle.generate.types"
local words = require "heddle.generate.words"

local function table_of(name, columns, more)
    local t = { name = name, columns = {}, primary = { columns = { "id" } }, uniques = {}, foreign_keys = {},
        indexes = {}, checks = {} }
    for i, column in ipairs(columns) do
        t.columns[i] = { name = column[1], type = column[2] or "integer", nullable = column.nullable or false,
            default = column.default, generated = column.generated }
    end
    for key, value in pairs(more or {}) do t[key] = value end
    return t
end

local function key(columns, target, to)
    return { columns = columns, table = target, target_columns = to or { "id" } }
end

local function files_of(tables, driver)
    local files, notes = generate.files({ driver = driver or "postgres", tables = tables, views = {} },
        { naming = naming.strategy() })
    local by_name = {}
    for _, file in ipairs(files) do by_name[file.entity] = file.text end
    return by_name, notes, files
end

describe("names", function()
    it("of entities are singular", function()
        for given, wanted in pairs {
            users = "User", film_categories = "FilmCategory", Customer = "Customer", InvoiceLine = "InvoiceLine",
            addresses = "Address", boxes = "Box", people = "Person", status = "Status", statuses = "Status",
            news = "News", buses = "Bus", analyses_data = "AnalysesData", bus = "Bus", classes = "Class",
            ["order details"] = "OrderDetail", ["2fa_codes"] = "T2faCode", address = "Address", movies = "Movie",
            series = "Series", children = "Child", keys = "Key", ["żółwie"] = "żółwie",
        } do
            assert.equal(wanted, words.entity(given), given)
        end
    end)

    it("of collections are plural", function()
        for given, wanted in pairs { film = "films", category = "categories", box = "boxes", child = "children",
            day = "days", staff = "staff", invoice_line = "invoice_lines", bus = "buses", news = "news" } do
            assert.equal(wanted, words.plural(given), given)
        end
    end)

    it("of relations are their column's without the key", function()
        for _, case in ipairs { { "artist_id", "id", "artist" }, { "ArtistId", "ArtistId", "artist" },
            { "original_language_id", "language_id", "original_language" }, { "country_code", "code", "country" },
            { "office", "id", "office" }, { "ReportsTo", "EmployeeId", "reports_to" } } do
            assert.equal(case[3], words.relation(case[1], case[2]), case[1])
        end
    end)

    it("that meet are resolved, and told", function()
        local files, notes, list = files_of {
            table_of("user", { { "id" } }), table_of("users", { { "id" } }),
            table_of("users", { { "id" } }, { schema = "crew" }),
            table_of("odd", { { "id" }, { "user_id" }, { "userId" }, { "user" } },
                { foreign_keys = { key({ "user_id" }, "user") } }),
        }
        local names = {}
        for i, file in ipairs(list) do names[i] = file.name end
        assert.same({ "user.lua", "user_2.lua", "crew_user.lua", "odd.lua" }, names)
        local told = table.concat(notes, "\n")
        assert.truthy(told:find("table 'users': the entity is called User2, because table 'user' has User", 1, true))
        assert.truthy(told:find("table 'crew.users': the entity is called CrewUser", 1, true))
        assert.truthy(files.Odd:find('{ "user_id",   type = "integer", column = "userId" }', 1, true), files.Odd)
        assert.truthy(files.Odd:find('{ "user",      type = "integer" }', 1, true), files.Odd)
        assert.truthy(files.Odd:find('{ "user_user", many_to_one = "User"', 1, true), files.Odd)
        schemas.load(list)
    end)
end)

describe("types", function()
    it("of PostgreSQL are Heddle's where the column would be the same", function()
        for text, wanted in pairs {
            ["integer"] = { type = "integer" }, ["character varying(20)"] = { type = "string", length = 20 },
            ["character varying"] = { own = "character varying" }, ["numeric(10,2)"] = { type = "decimal",
                precision = 10, scale = 2 }, ["numeric"] = { type = "decimal" }, ["numeric(3,5)"] = { own =
                "numeric(3,5)" }, ["timestamp with time zone"] = { type = "timestamp" },
            ["timestamp without time zone"] = { own = "timestamp without time zone" },
            ["timestamp(3) with time zone"] = { own = "timestamp(3) with time zone" },
            ["json"] = { own = "pg_catalog.json" }, ["jsonb"] = { type = "json" }, ["bytea"] = { type = "blob" },
            ["text[]"] = { type = "array", array_of = "text" }, ["numeric(4,1)[]"] = { type = "array", array_of =
                "decimal", precision = 4, scale = 1 }, ["jsonb[]"] = { own = "jsonb[]" },
            ["character(2)"] = { own = "character(2)" }, ["real"] = { own = "real" }, ["mood"] = { own = "mood" },
            ["enum"] = { own = '"enum"' }, ["double precision"] = { type = "double" },
        } do
            assert.same(wanted, types.of(text, "postgres"), text)
        end
    end)

    it("of SQLite are those of their affinity", function()
        for text, wanted in pairs {
            ["NVARCHAR(160)"] = { type = "string", length = 160 }, ["TEXT"] = { type = "text" },
            ["CHARACTER VARYING( 5 )"] = { type = "string", length = 5 }, ["INT"] = { type = "integer" },
            ["UNSIGNED BIG INT"] = { type = "bigint" }, ["SMALLINT"] = { type = "smallint" },
            ["NUMERIC(10,2)"] = { own = "NUMERIC(10,2)" }, ["DATETIME"] = { own = "DATETIME" },
            ["BOOLEAN"] = { type = "boolean" }, ["date"] = { own = "DATE" }, [""] = { type = "blob" },
            ["DOUBLE PRECISION"] = { type = "double" }, ["BLOB SUB_TYPE TEXT"] = { type = "text" },
        } do
            assert.same(wanted, types.of(text, "sqlite"), text)
        end
    end)
end)

describe("defaults", function()
    it("are values where Heddle writes the same, else SQL", function()
        local text, int, dec = { type = "text" }, { type = "integer" }, { type = "decimal" }
        for _, case in ipairs {
            { "'it''s'::text", text, "postgres", { default = "it's" } }, { "0", int, "postgres", { default = 0 } },
            { "'-1'::integer", int, "postgres", { default = -1 } }, { "(-1)", int, "postgres", { default = -1 } },
            { "now()", { type = "timestamp" }, "postgres", { default_sql = "now()" } },
            { "'a'::text || 'b'::text", text, "postgres", { default_sql = "'a'::text || 'b'::text" } },
            { "0.50", dec, "postgres", { default = "0.50" } }, { "0.5", dec, "sqlite", { default_sql = "0.5" } },
            { "true", { type = "boolean" }, "postgres", { default = true } },
            { "1", { type = "boolean" }, "sqlite", { default = true } }, { "NULL", text, "sqlite", {} },
            { "(datetime('now'))", text, "sqlite", { default_sql = "datetime('now')" } },
            { "'x'", { own = "mood" }, "postgres", { default_sql = "'x'" } }, { nil, int, "sqlite", {} },
            { "12345678901234567", { type = "bigint" }, "sqlite", { default_sql = "12345678901234567" } },
        } do
            assert.same(case[4], defaults.of(case[1], case[2], case[3]), tostring(case[1]))
        end
    end)
end)

describe("source", function()
    it("holds SQL of any kind", function()
        for _, sql in ipairs { "a > 0", [["A" = 'it''s']], "a\n\"b\"", "x = ']]'", "\"a\" || ']", "\n\"x\"",
            "'(' || \"a\" || ')'", "a\r\nb", "'\\'" } do
            local chunk = assert((loadstring or load)("return " .. source.sql(sql)))
            assert.equal(sql, chunk())
        end
        assert.equal('"a > 0"', source.sql "((a > 0))")
        assert.equal('"(a) > (b)"', source.sql "(a) > (b)")
    end)
end)

describe("relations", function()
    local function reason(t, target)
        local _, notes = files_of { t, target or table_of("b", { { "id" }, { "code" } }) }
        return notes[1] and notes[1]:match "becomes no relation: (.*); a diff that may drop"
    end

    it("are not what they cannot be, and why is told", function()
        local b = { foreign_keys = { key({ "b" }, "b") } }
        assert.is_nil(reason(table_of("a", { { "id" }, { "b" } }, b)))
        assert.matches("^its column 'b' is bigint", reason(table_of("a", { { "id" }, { "b", "bigint" } }, b)))
        assert.matches("^its column 'b' is generated", reason(table_of("a", { { "id" }, { "b", generated = "1" } }, b)))
        assert.matches("^it refers to a unique key", reason(table_of("a", { { "id" }, { "b" } },
            { foreign_keys = { key({ "b" }, "b", { "code" }) } })))
        assert.matches("^the table that it refers to is not", reason(table_of("a", { { "id" }, { "b" } },
            { foreign_keys = { key({ "b" }, "c") } })))
        assert.matches("^its column 'b' belongs to another", reason(table_of("a", { { "id" }, { "b" } },
            { foreign_keys = { key({ "b" }, "b"), key({ "b" }, "b") } })))
        assert.matches("own key is made of it", reason(table_of("a", { { "id" } },
            { foreign_keys = { key({ "id" }, "a") } })))
        local pair = table_of("p", { { "x" }, { "y" } }, { primary = { columns = { "x", "y" } } })
        assert.matches("^a key or index has some", reason(table_of("a", { { "id" }, { "x" }, { "y" } },
            { foreign_keys = { key({ "x", "y" }, "p", { "x", "y" }) }, uniques = { { columns = { "y" } } } }), pair))
        assert.matches("^some of its columns may be NULL", reason(table_of("a", { { "id" }, { "x", nullable = true },
            { "y" } }, { foreign_keys = { key({ "x", "y" }, "p", { "x", "y" }) } }), pair))
    end)

    it("a table of pairs with more in it is an entity", function()
        local function has_pivot(columns, more)
            local t = table_of("ab", columns, { primary = { columns = { "a_id", "b_id" } },
                foreign_keys = { key({ "a_id" }, "a"), key({ "b_id" }, "b") } })
            for name, value in pairs(more or {}) do t[name] = value end
            return files_of({ table_of("a", { { "id" } }), t, table_of("b", { { "id" } }) }).Ab == nil
        end
        assert.is_true(has_pivot { { "a_id" }, { "b_id" } })
        assert.is_false(has_pivot { { "a_id" }, { "b_id" }, { "n" } })
        assert.is_false(has_pivot({ { "a_id" }, { "b_id" } }, { checks = { { expression = "a_id <> b_id" } } }))
        assert.is_false(has_pivot({ { "a_id" }, { "b_id" } }, { comment = "pairs" }))
        assert.is_false(has_pivot({ { "a_id" }, { "b_id" } }, { indexes = { { name = "i", parts = { { column = "a_id" },
            { column = "b_id" } } } } }))
    end)

    it("options stand under each other, whatever letters names are made of", function()
        local text = files_of({ table_of("sizes", { { "id" }, { "gr\195\182\195\159e" }, { "depth" } }) }).Size
        assert.truthy(text:find('  { "gr\195\182\195\159e", type', 1, true), text)
        assert.truthy(text:find('  { "depth", type', 1, true), text)
    end)

    it("a table without a primary key becomes no entity, and that is told", function()
        local files, notes = files_of { table_of("a", { { "id" } }), table_of("log", { { "x" } }, { primary = false }) }
        assert.is_nil(files.Log)
        assert.matches("table 'log' has no primary key", notes[1])
    end)
end)
