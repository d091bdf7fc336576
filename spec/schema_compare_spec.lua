-- What leads from one schema model to another: renames that are certain, safe mode, what an entity cannot say.

local compare = require "heddle.schema.compare"
local errors = require "heddle.errors"

local function copy(value)
    if type(value) ~= "table" then return value end
    local made = {}
    for key, item in pairs(value) do made[key] = copy(item) end
    return made
end

local function column(name, type, more)
    local made = { name = name, type = type or "text", nullable = false, property = name }
    for key, value in pairs(more or {}) do made[key] = value end
    return made
end

local function table_of(name, columns, more)
    local made = { name = name, entity = name, columns = columns, primary = { columns = { "id" } }, uniques = {},
        foreign_keys = {}, indexes = {}, checks = {} }
    for key, value in pairs(more or {}) do made[key] = value end
    return made
end

local function model(tables, views, driver)
    return { driver = driver or "postgres", tables = tables, views = views or {} }
end

local function users(columns, more)
    table.insert(columns, 1, column("id", "integer", { autoincrement = true }))
    return table_of("users", columns, more)
end

-- As a database tells it: without what only entities know.
local function live(made)
    made = copy(made)
    for _, t in ipairs(made.tables) do
        t.entity = nil
        for _, c in ipairs(t.columns) do c.property, c.kind = nil, nil end
    end
    return made
end

local function unsafe(was, now, opts)
    opts = opts or {}
    opts.safe = false
    return compare.changes(was, now, opts)
end

local function refused(words, ...)
    local ok, err = pcall(compare.changes, ...)
    assert.is_false(ok)
    assert.is_true(errors.is_error(err, "migration"), tostring(err))
    assert.truthy(err.message:find(words, 1, true), err.message)
end

local function names(list)
    local found = {}
    for i, item in ipairs(list) do found[i] = item.name end
    return found
end

describe("comparing schema models", function()
    it("M1: equal models differ in nothing", function()
        local made = model { users { column("name", "text", { default = "'it''s'" }) } }
        assert.is_true(compare.is_empty(compare.changes(live(made), made)))
        assert.is_true(compare.is_empty(unsafe(live(made), made)))
    end)

    it("tables come behind those that they refer to, and go before them", function()
        local fk = { name = "f", columns = { "z_id" }, table = "z", target_columns = { "id" } }
        local a = table_of("a", { column "id", column "z_id" }, { foreign_keys = { fk } })
        local z = table_of("z", { column "id" })
        assert.same({ "z", "a" }, names(compare.changes(model {}, model { a, z }).added))
        assert.same({ "a", "z" }, names(unsafe(model { a, z }, model {}).dropped))
    end)

    it("names what differs in a column", function()
        local was = model { users { column("a", "text", { default = "'x'" }), column("b", "text", { comment = "b" }) } }
        local now = model { users { column("a", "integer", { nullable = true }), column("b", "text") } }
        local altered = unsafe(live(was), now).changed[1].columns.altered
        assert.same({ true, true, true }, { altered[1].type, altered[1].nullable, altered[1].default })
        assert.is_nil(altered[1].generated)
        assert.is_true(altered[2].comment)
        assert.equal("x", altered[1].was.default:match "%a")
        -- A comment that somebody else made is nothing that safe mode takes away.
        assert.equal(1, #compare.changes(live(was), now).changed[1].columns.altered)
    end)

    it("what is of the key is never NULL, whatever SQLite says of it", function()
        local was = model({ table_of("t", { column("id", "TEXT", { nullable = true }) }) }, nil, "sqlite")
        local now = model({ table_of("t", { column("id", "TEXT") }) }, nil, "sqlite")
        assert.is_true(compare.is_empty(compare.changes(was, now)))
    end)

    it("SQLite's types are equal when their affinity is", function()
        local function differs(was, now, kind)
            local changes = compare.changes(live(model({ table_of("t", { column("id", was) }) }, nil, "sqlite")),
                model({ table_of("t", { column("ID", now, { kind = kind }) }) }, nil, "sqlite"))
            return not compare.is_empty(changes)
        end
        for _, pair in ipairs { { "VARCHAR(20)", "TEXT" }, { "BIGINT", "INTEGER" }, { "BOOLEAN", "INTEGER" },
            { "DOUBLE PRECISION", "REAL" }, { "", "BLOB" }, { "DATETIME", "TEXT", "timestamp" } } do
            assert.is_false(differs(pair[1], pair[2], pair[3]), pair[1])
        end
        for _, pair in ipairs { { "DECIMAL(10,2)", "TEXT", "decimal" }, { "DATETIME", "TEXT", "string" },
            { "TEXT", "BLOB" }, { "FLOAT", "INTEGER" } } do
            assert.is_true(differs(pair[1], pair[2], pair[3]), pair[1])
        end
    end)
end)

describe("renames", function()
    local was = model { users { column "name", column("age", "integer") } }

    it("are certain when both models know entity and property", function()
        local now = model { table_of("people", { column("id", "integer", { autoincrement = true }),
            column("full_name", "text", { property = "name" }), column("age", "integer") }, { entity = "users" }) }
        local changes = unsafe(was, now)
        assert.same({ "users", "people" }, { changes.renamed[1].from.name, changes.renamed[1].to.name })
        assert.same({ { from = "name", to = "full_name" } }, changes.changed[1].columns.renamed)
        assert.same({}, changes.changed[1].columns.dropped)
        assert.same({ 0, 0, 0 }, { #changes.added, #changes.dropped, #changes.hints })
    end)

    it("are never guessed: a hint says how to ask", function()
        local now = model { users { column "full_name", column("age", "integer") } }
        local changes = unsafe(live(was), now)
        assert.same({ "full_name" }, names(changes.changed[1].columns.added))
        assert.same({ "name" }, names(changes.changed[1].columns.dropped))
        assert.truthy(changes.hints[1]:find("users.name=full_name", 1, true), changes.hints[1])
        changes = compare.changes(live(was), now)
        assert.same({}, changes.changed[1].columns.dropped)
        assert.equal(1, #changes.hints)
        changes = unsafe(live(was), now, { rename = { ["users.name"] = "full_name" } })
        assert.same({ { from = "name", to = "full_name" } }, changes.changed[1].columns.renamed)
        assert.same({}, changes.changed[1].columns.added)
        assert.same({}, changes.hints)
    end)

    it("of tables and their columns are asked for by the old name or the new", function()
        local now = model { table_of("people", { column("id", "integer", { autoincrement = true }), column "full_name",
            column("age", "integer") }) }
        for _, path in ipairs { "users.name", "people.name" } do
            local changes = unsafe(live(was), now, { rename = { users = "people", [path] = "full_name" } })
            assert.equal(1, #changes.renamed)
            assert.same({ { from = "name", to = "full_name" } }, changes.changed[1].columns.renamed)
        end
        assert.truthy(unsafe(live(was), now).hints[1]:find("users=people", 1, true))
    end)

    it("that match nothing are refused", function()
        local now = model { users { column "full_name", column("age", "integer") } }
        local function asked(rename, words) refused(words, live(was), now, { rename = rename }) end
        asked({ usrs = "people" }, "did you mean 'users'")
        asked({ users = "people" }, "no entity's table")
        asked({ ["users.nme"] = "full_name" }, "did you mean 'name'")
        asked({ ["users.name"] = "fullname" }, "did you mean 'full_name'")
        asked({ ["users.age"] = "full_name", ["users.name"] = "full_name" }, "two columns of 'users'")
        asked({ ["users.name"] = "age" }, "is there already")
        asked({ 7 }, "names stand in it")
    end)

    it("leave what else speaks of the column as it is", function()
        local function made(name)
            return model { users({ column(name, "text", { property = "n" }) }, {
                uniques = { { name = "u", columns = { name } } }, checks = { { name = "c", expression = "(" .. name
                    .. " <> 'name'::text)" } },
                indexes = { { name = "i", unique = false, parts = { { expression = "lower(" .. name .. ")" } } } } }) }
        end
        local entry = unsafe(made "name", made "label").changed[1]
        assert.same({ { from = "name", to = "label" } }, entry.columns.renamed)
        for _, kind in ipairs { "uniques", "checks", "indexes" } do
            assert.same({ added = {}, dropped = {}, renamed = {} }, entry[kind])
        end
    end)

    it("leave the name to a new property, or a new entity", function()
        local now = model { users { column("title", "text", { property = "name" }), column("name", "text", {
            property = "new", nullable = true }), column("age", "integer") } }
        local asked = unsafe(live(was), now, { rename = { ["users.name"] = "title" } })
        for _, changes in ipairs { unsafe(was, now), asked } do
            assert.same({ { from = "name", to = "title" } }, changes.changed[1].columns.renamed)
            assert.same({ "name" }, names(changes.changed[1].columns.added))
            assert.same({}, changes.changed[1].columns.altered)
        end
        local people = table_of("people", was.tables[1].columns, { entity = "users" })
        now = model { people, table_of("users", { column "id" }, { entity = "Other" }) }
        asked = unsafe(live(was), now, { rename = { users = "people" } })
        for _, changes in ipairs { unsafe(was, now), asked } do
            assert.same({ "users", "people" }, { changes.renamed[1].from.name, changes.renamed[1].to.name })
            assert.same({ "users" }, names(changes.added))
            assert.same({}, changes.dropped)
        end
    end)

    it("of an index or constraint are certain when its content is the same", function()
        local function made(name, more)
            return model { users({ column "name" }, { uniques = { { name = name, columns = { "name" } } },
                indexes = more }) }
        end
        local entry = compare.changes(live(made "old"), made "new").changed[1]
        assert.same({ { from = "old", to = "new" } }, entry.uniques.renamed)
        assert.same({ {}, {} }, { entry.uniques.added, entry.uniques.dropped })
        -- SQLite's unnamed constraints need no name.
        local was_unnamed, now = made(nil), made "new"
        was_unnamed.driver, now.driver = "sqlite", "sqlite"
        assert.is_true(compare.is_empty(compare.changes(was_unnamed, now)))
    end)

    it("of two indexes that change places are two new ones", function()
        local function made(first, second)
            return model { users({ column "a", column "b" }, { indexes = {
                { name = "i", unique = false, parts = { { column = first } } },
                { name = "k", unique = false, parts = { { column = second } } } } }) }
        end
        local entry = compare.changes(live(made("a", "b")), made("b", "a")).changed[1]
        assert.same({ {}, { "i", "k" }, { "i", "k" } }, { entry.indexes.renamed, names(entry.indexes.added),
            names(entry.indexes.dropped) })
    end)
end)

describe("safe mode", function()
    it("drops nothing and says what it leaves", function()
        local was = model { users({ column "name", column("age", "integer") }, {
            indexes = { { name = "by_age", unique = false, parts = { { column = "age" } } } } }), table_of("old", {}) }
        local now = model { users { column "name" } }
        local changes = compare.changes(live(was), now)
        assert.is_true(compare.is_empty(changes))
        local text = table.concat(changes.left_out, "\n")
        assert.truthy(text:find("table 'old'", 1, true))
        assert.truthy(text:find("column 'age'", 1, true))
        assert.truthy(text:find("inserts fail", 1, true))
        assert.truthy(text:find("index 'by_age'", 1, true))
        changes = unsafe(live(was), now)
        assert.same({ "old" }, names(changes.dropped))
        assert.same({ "age" }, names(changes.changed[1].columns.dropped))
        assert.same({ "by_age" }, names(changes.changed[1].indexes.dropped))
        assert.same({}, unsafe(live(was), now, { drop_tables = false }).dropped)
        assert.same({}, unsafe(live(was), now, { is_kept = function(t) return t.name == "old" end }).dropped)
    end)

    it("replaces what is defined otherwise, and keeps the rest in what the table shall be", function()
        local function made(expression, more)
            return model { users({ column "name", more }, { checks = { { name = "c", expression = expression } } }) }
        end
        local entry = compare.changes(live(made("a", column("age", "integer"))), made "b").changed[1]
        assert.same({ { "c" }, { "c" } }, { names(entry.checks.dropped), names(entry.checks.added) })
        assert.same({ "id", "name", "age" }, names(entry.now.columns))
    end)

    it("replaces a foreign key whose rule changes, whatever it is called", function()
        local function made(name, rule)
            return model { users({ column "boss" }, { foreign_keys = { { name = name, columns = { "boss" },
                table = "users", target_columns = { "id" }, on_delete = rule } } }) }
        end
        local entry = compare.changes(live(made("theirs", "cascade")), made("ours", "set null")).changed[1]
        assert.same({ "theirs" }, names(entry.foreign_keys.dropped))
        assert.same({ "ours" }, names(entry.foreign_keys.added))
        assert.is_true(compare.is_empty(compare.changes(live(made("f", "no action")), made("f"))))
    end)
end)

describe("what an entity cannot say", function()
    it("stays: collations, operator classes, options, how a deferrable key begins", function()
        local was = model { users({ column("name", "text", { collation = "C" }) }, { options = "STRICT",
            indexes = { { name = "i", unique = false, parts = { { column = "name", opclass = "text_pattern_ops",
                collation = "C" } } } },
            foreign_keys = { { name = "f", columns = { "name" }, table = "users", target_columns = { "id" },
                deferrable = "deferred" } } }) }
        local now = model { users({ column "name", column("age", "integer", { nullable = true }) }, {
            indexes = { { name = "i", unique = false, parts = { { column = "name" } } } },
            foreign_keys = { { name = "f", columns = { "name" }, table = "users", target_columns = { "id" },
                deferrable = "immediate" } } }) }
        local entry = compare.changes(live(was), now).changed[1]
        assert.same({ "age" }, names(entry.columns.added))
        assert.same({}, entry.columns.altered)
        assert.equal("C", entry.now.columns[2].collation)
        assert.equal("text_pattern_ops", entry.now.indexes[1].parts[1].opclass)
        assert.equal("deferred", entry.now.foreign_keys[1].deferrable)
        assert.equal("STRICT", entry.now.options)
        assert.is_nil(now.tables[1].columns[2].collation)
    end)

    it("is whether a constraint or an index makes a unique key", function()
        local constraint = model { users({ column "name" }, { uniques = { { name = "u", columns = { "name" } } } }) }
        local index = model { users({ column "name" }, { indexes = { { name = "x", unique = true,
            parts = { { column = "name" } } } } }) }
        assert.is_true(compare.is_empty(unsafe(live(constraint), index)))
        assert.is_true(compare.is_empty(unsafe(live(index), constraint)))
    end)
end)
