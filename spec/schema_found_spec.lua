-- What was lost, kept or refused wrongly when schemas changed: each of these was a fault once.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local reopen = require "spec.support.reopen"

local raises = expect.raises

local function entity(name, table_name, properties, more)
    local made = { name = name, table = table_name, { "id", type = "integer", primary = true } }
    for _, property in ipairs(properties) do made[#made + 1] = property end
    for key, value in pairs(more or {}) do made[key] = value end
    return orm.entity(made)
end

describe("schema changes", function()
    databases.each(function(db)
        local config

        before_each(function() config = db:config() end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function open(entities, overrides)
            return reopen(config, overrides or {}, { entities = entities }).schema
        end

        local function exec(...)
            for _, sql in ipairs { ... } do db:raw(config):exec(sql) end
        end

        local function value(sql) return db:raw(config):value(sql) end

        it("M2: the check of an enum goes with it, in safe mode too, whatever the column is called now", function()
            open({ entity("User", "users", { { "kind", type = "enum", enum = { "a", "b" } },
                { "sort", type = "enum", enum = { "c", "d" }, nullable = true } }) }):create()
            exec("insert into users (kind, sort) values ('a', 'c')")
            local schema = open { entity("User", "users", { { "kind", type = "string" },
                { "class", type = "string", nullable = true } }) }
            local done = schema:update { rename = { ["users.sort"] = "class" } }
            assert.same({}, done.left_out)
            assert.same({}, schema:diff { safe = false })
            exec("insert into users (kind, class) values ('other', 'another')")
            assert.equal("2", value("select count(*) from users"))
        end)

        it("safe mode keeps the check of an enum whose column nobody describes any more", function()
            local kind = { "kind", type = "enum", enum = { "a", "b" }, nullable = true }
            open({ entity("User", "users", { kind }) }):create()
            local schema = open { entity("User", "users", {}) }
            local planned = schema:update()
            assert.equal(0, #planned)
            assert.equal(2, #planned.left_out)
            assert.is_false((pcall(exec, "insert into users (kind) values ('other')")))
        end)

        local function two(x, y, more)
            local columns = {
                { "x", type = "string", nullable = true, column = x, unique = true },
                { "y", type = "enum", enum = { "ya", "yb" }, nullable = true, column = y },
            }
            return entity("Two", "twos", more and { columns[1] } or columns)
        end

        local function read_two()
            local found = orm.em():find_one("Two", 1)
            return found.x .. " " .. found.y
        end

        local function a_and_b(a, b)
            return { entity("A", a, { { "n", type = "string", unique = true } }),
                entity("B", b, { { "n", type = "string", unique = true },
                    { "a", many_to_one = "A", on_delete = "cascade" } }) }
        end

        local function read_a_and_b()
            local b = orm.em():find_one("B", 1, { populate = { "a" } })
            return b.n .. " of " .. b.a.n
        end

        -- Creates and runs a migration for each state, goes back to the first one and on again; what is read stays the
        -- same.
        local function migrates(states, read, rows)
            local directory, paths, expected = os.tmpname(), {}, nil
            os.remove(directory)
            local function go(entities, what)
                local schema = open(entities, { migrations = directory })
                what(orm.instance().migrator)
                if not expected then
                    for _, sql in ipairs(rows) do exec(sql) end
                    expected = read()
                end
                assert.equal(expected, read())
                assert.same({}, schema:diff { safe = false, drop_tables = false })
            end
            for _, entities in ipairs(states) do
                go(entities, function(migrator)
                    paths[#paths + 1] = migrator:create().path
                    migrator:up()
                end)
            end
            for i = #states - 1, 1, -1 do go(states[i], function(migrator) migrator:down() end) end
            go(states[#states], function(migrator) migrator:up() end)
            for _, path in ipairs(paths) do os.remove(path) end
            os.remove(directory .. "/.snapshot.json")
            require("lfs").rmdir(directory)
        end

        it("columns that take each other's names keep their values, and have them back on the way down", function()
            migrates({ { two("a", "b") }, { two("b", "c") }, { two("c", "b") }, { two("b", "c") } }, read_two,
                { "insert into twos (a, b) values ('xa', 'yb')" })
        end)

        it("tables that take each other's names keep their rows, and have them back on the way down", function()
            migrates({ a_and_b("one", "two"), a_and_b("two", "three"), a_and_b("three", "two"),
                a_and_b("two", "three") }, read_a_and_b, { "insert into one (n) values ('A')",
                "insert into two (n, a_id) values ('B', 1)" })
        end)

        it("columns swap their names when that is asked for, and nothing is called as what stays", function()
            open({ two("a", "b") }):create()
            exec("insert into twos (a, b) values ('xa', 'yb')")
            local schema = open { two("b", "a") }
            schema:update { rename = { ["twos.a"] = "b", ["twos.b"] = "a" } }
            assert.equal("xa yb", read_two())
            assert.same({}, schema:diff { safe = false })
            local err = raises("migration", function() schema:diff { rename = { ["twos.a"] = "b" } } end)
            assert.matches("there already", err.message, 1, true)
        end)

        it("M1: a check is of the column that it was of, also where another one has its name now", function()
            local function kind(property, column)
                return { property, type = "enum", enum = { "a", "b" }, nullable = true, column = column }
            end
            open({ entity("User", "users", { kind("x", "x") }) }):create()
            exec("insert into users (x) values ('a')")
            local schema = open { entity("User", "users", { kind("x", "z"), kind("y", "x") }) }
            schema:update { rename = { ["users.x"] = "z" } }
            assert.same({}, schema:diff { safe = false })
            assert.is_false((pcall(exec, "insert into users (x) values ('c')")))
            assert.is_false((pcall(exec, "insert into users (z) values ('c')")))
            assert.equal("a", value("select z from users"))
        end)

        it("a column does not take the name of one that goes in the same change", function()
            local model, compare = require "heddle.schema.model", require "heddle.schema.compare"
            open { two("a", "b") }
            local item = require("heddle.registry").get("default")
            local was = model.of(item)
            open { two("b", nil, true) }
            local now = model.of(require("heddle.registry").get("default"))
            local err = raises("migration", function() compare.changes(was, now, { safe = false }) end)
            assert.matches("make two changes of it", err.message, 1, true)
        end)

        it("a migration that makes a view anew says what goes with the old one", function()
            local directory = os.tmpname()
            os.remove(directory)
            local function create(least)
                open({ entity("Item", "items", {}), orm.entity { name = "Stock", table = "stock",
                    expression = "SELECT id FROM items WHERE id > " .. least,
                    { "id", type = "integer", primary = true } } }, { migrations = directory })
                local path = orm.instance().migrator:create().path
                local file = assert(io.open(path))
                local text = file:read("*a")
                file:close()
                os.remove(path)
                return text
            end
            assert.is_nil(create(0):find("made anew", 1, true))
            assert.matches('View "?stock"? is made anew: triggers', create(1))
            os.remove(directory .. "/.snapshot.json")
            require("lfs").rmdir(directory)
        end)

        it("M3: the refusal says when it looks like a rename", function()
            open({ entity("User", "users", { { "name", type = "string" } }) }):create()
            exec("insert into users (name) values ('Ann')")
            local schema = open { entity("User", "users", { { "full_name", type = "string" } }) }
            local err = raises("migration", function() schema:update() end)
            assert.equal("full_name", err.property)
            assert.matches('rename = { ["users.name"] = "full_name" }', err.message, 1, true)
            schema:update { rename = { ["users.name"] = "full_name" } }
            assert.equal("Ann", value("select full_name from users"))
        end)
    end)

    databases.on("sqlite", function(db)
        local config

        before_each(function() config = db:config() end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local Author = entity("Author", "authors", { { "name", type = "string" } })

        local function open(entities, overrides)
            return reopen(config, overrides or {}, { entities = entities })
        end

        local function book(properties, name)
            local all = { { "author", many_to_one = "Author" } }
            for _, property in ipairs(properties or {}) do all[#all + 1] = property end
            return entity("Book", name or "books", all)
        end

        -- Book 1 refers to nothing, book 2 to Ann.
        local function fill()
            open({ Author, book() }).schema:create()
            for _, sql in ipairs { "pragma foreign_keys = off", "insert into authors values (1, 'Ann')",
                "insert into books values (1, 99), (2, 1)" } do
                db:raw(config):exec(sql)
            end
        end

        local MENDS_ONE_AND_BREAKS_ONE = "update books set author_id = case id when 1 then 1 else 77 end"

        it("M2: a violated foreign key is not made up for by one that was mended", function()
            fill()
            local apply = require "heddle.schema.apply"
            local instance = open { Author, book() }
            local item = require("heddle.registry").get(instance.context_name)
            local link = item:link()
            local ok, err = pcall(apply.run, item, link, { MENDS_ONE_AND_BREAKS_ONE })
            link:close()
            assert.is_false(ok)
            assert.is_true(orm.is_error(err, "migration"))
            assert.matches("'books' row 2", err.message, 1, true)
            assert.equal("99", db:raw(config):value("select author_id from books where id = 1"))
        end)

        it("M6: nor in a migration", function()
            fill()
            local directory = os.tmpname()
            os.remove(directory)
            local migrator = open({ Author, book() }, { migrations = directory }).migrator
            local made = migrator:create { blank = true, name = "swap" }
            local file = assert(io.open(made.path, "w"))
            file:write(("return { context = 'default', up = function(m) m:sql [[%s]] end }"):format(
                MENDS_ONE_AND_BREAKS_ONE))
            file:close()
            local err = raises("migration", function() migrator:up() end)
            os.remove(made.path)
            require("lfs").rmdir(directory)
            assert.equal("foreign_key_violation", err.reason)
            assert.equal("99", db:raw(config):value("select author_id from books where id = 1"))
        end)

        it("M2: rows that were broken before are in nobody's way, whatever their tables are called now", function()
            fill()
            local schema = open({ entity("Author", "people", { { "name", type = "string", nullable = true } }),
                book({ { "title", type = "string", nullable = true } }, "volumes") }).schema
            schema:update { rename = { authors = "people", books = "volumes" } }
            assert.same({}, schema:diff())
            assert.equal("99", db:raw(config):value("select author_id from volumes where id = 1"))
        end)
    end)

    databases.on("postgres", function(db)
        after_each(function()
            orm.close()
            db:close()
        end)

        it("safe mode tells of comments that stay", function()
            local config = db:config()
            local function open(comment)
                if orm.contexts()[1] then orm.close() end
                local made = { entities = { entity("User", "users", { { "n", type = "text", comment = comment } },
                    { comment = comment }) } }
                for key, value in pairs(config) do made[key] = value end
                return orm.init(made).schema
            end
            open("told"):create()
            local planned = open(nil):diff()
            assert.equal(0, #planned)
            assert.same({ "table 'users': the comment of column 'n' is no property's any more and stays",
                "table 'users': its comment is no entity's any more and stays" }, planned.left_out)
            assert.same({}, open(nil):diff { safe = false }.left_out)
        end)

        it("a view that comes again has its options, triggers, rules, defaults, comments, grants and owner", function()
            local config = db:config()
            local function open(type, columns)
                if orm.contexts()[1] then orm.close() end
                local stock = { name = "Stock", table = "stock",
                    expression = "SELECT " .. columns .. " FROM items WHERE id > 0",
                    { "id", type = "integer", primary = true }, { "n", type = type, nullable = true } }
                local made = { entities = { entity("Item", "items", { { "n", type = type, nullable = true },
                    { "more", type = "text", nullable = true } }), orm.entity(stock) } }
                for key, value in pairs(config) do made[key] = value end
                return orm.init(made).schema
            end
            open("text", "id, n, more"):create()
            local raw = db:raw(config)
            raw:exec [[
create role stock_owner;
create function put_stock() returns trigger language plpgsql as $$ begin
  insert into items (n) values (new.n); return new; end $$;
create trigger put instead of insert on stock for each row execute function put_stock();
create rule keep as on delete to stock do instead nothing;
alter view stock set (security_barrier = true);
alter view stock alter column n set default 'it''s';
comment on view stock is 'what''s there';
comment on column stock.n is 'n \ ?';
comment on column stock.more is 'goes';
grant select (id) on stock to public;
grant update on stock to public;
alter view stock owner to stock_owner]]
            local function told()
                return { raw:rows("select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'stock'::regclass"),
                    raw:rows("select pg_get_ruledef(oid) from pg_rewrite where ev_class = 'stock'::regclass "
                        .. "and rulename <> '_RETURN'"),
                    raw:rows("select reloptions, relowner::regrole, relacl, obj_description(oid), "
                        .. "col_description(oid, 2) from pg_class where oid = 'stock'::regclass"),
                    raw:rows("select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'stock'::regclass"),
                    raw:rows("select attacl from pg_attribute where attrelid = 'stock'::regclass and attnum = 1") }
            end
            local before = told()
            local schema = open("text", "id, n")
            assert.is_true(#schema:update() > 0)
            assert.same(before, told())
            schema = open("string", "n, id")
            assert.is_true(#schema:update() > 0)
            assert.same(before[1], told()[1])
            assert.same({}, schema:diff { safe = false })
            raw:exec "insert into stock (id) values (9)"
            assert.equal("it's", raw:value "select n from items")
            raw:exec "drop owned by stock_owner cascade; drop role stock_owner"
        end)
    end)
end)
