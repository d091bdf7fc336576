-- schema:diff and update on both databases: what is done, what safe mode leaves, what is never touched or refused.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local reopen = require "spec.support.reopen"

local raises = expect.raises

local function user(properties, more)
    local made = { name = "User", table = "users", { "id", type = "integer", primary = true } }
    for _, property in ipairs(properties) do made[#made + 1] = property end
    for key, value in pairs(more or {}) do made[key] = value end
    return orm.entity(made)
end

local name = { "name", type = "string" }
local age = { "age", type = "integer", nullable = true }

local Post = orm.entity {
    name = "Post", table = "posts",
    { "id", type = "integer", primary = true }, { "author", many_to_one = "User", on_delete = "cascade" },
}

local function other(of)
    return orm.entity { name = "Other", table = of or "other", { "id", type = "integer", primary = true } }
end

describe("schema:update", function()
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

        local function value(sql) return db:raw(config):value(sql) end

        local function columns(of)
            local found, sql = {}, db.name == "sqlite" and "select name from pragma_table_info('%s') order by name"
                or "select column_name from information_schema.columns where table_name = '%s' order by 1"
            for _, row in ipairs(db:raw(config):rows(sql:format(of))) do found[#found + 1] = row[1] end
            return table.concat(found, " ")
        end

        it("M1: makes an empty database what the entities say, and then there is nothing to do", function()
            local schema = open { user { name, age }, Post }
            local planned = schema:diff()
            assert.same(schema:update_sql(), planned)
            assert.is_true(#planned > 0)
            assert.equal("", columns "users") -- nothing was done yet
            assert.same(planned, schema:update())
            assert.equal("age id name", columns "users")
            assert.same({}, schema:diff())
            assert.same({}, schema:diff { safe = false })
            assert.same({}, schema:update { safe = false })
        end)

        it("M2: keeps rows, and those of the tables that refer to them, when a table has to be made anew", function()
            open({ user { name }, Post }):create()
            db:raw(config):exec "insert into users (id, name) values (1, 'Ann'), (2, 'Bob')"
            db:raw(config):exec "insert into posts (author_id) values (1), (2), (2)"
            local changed = { "name", type = "string", default = "it's", check = "name <> ''", unique = true }
            local schema = open { user { changed, age }, Post }
            schema:update()
            assert.same({}, schema:diff { safe = false })
            assert.same({ { "1", "Ann" }, { "2", "Bob" } },
                db:raw(config):rows "select id, name from users order by id")
            assert.equal("3", value "select count(*) from posts")
            assert.has_error(function() db:raw(config):exec "insert into users (name) values ('')" end)
        end)

        it("is safe: drops nothing, says what it leaves and what may be a rename", function()
            open({ user { name, age }, other() }):create()
            db:raw(config):exec "insert into users (name, age) values ('Ann', 7)"
            local schema = open { user { { "full_name", type = "string", nullable = true } } }
            local planned = schema:diff()
            assert.equal(1, #planned)
            local left = table.concat(planned.left_out, "\n")
            for _, words in ipairs { "table 'other'", "column 'name'", "column 'age'", "inserts fail" } do
                assert.truthy(left:find(words, 1, true), left)
            end
            assert.truthy(table.concat(planned.hints):find("users.name=full_name", 1, true))
            local done = schema:update()
            assert.same(planned.left_out, done.left_out)
            assert.same({}, schema:diff())
            assert.equal("age full_name id name", columns "users")
            assert.equal("Ann", value "select name from users")
            schema:update { safe = false, drop_tables = false }
            assert.equal("full_name id", columns "users")
            assert.equal("0", value "select count(*) from other")
            schema:update { safe = false }
            assert.has_error(function() value "select count(*) from other" end)
        end)

        it("renames what it is told to, tables and columns at once, and what is called after them", function()
            open({ user { name }, Post }):create()
            db:raw(config):exec "insert into users (id, name) values (1, 'Ann')"
            db:raw(config):exec "insert into posts (author_id) values (1)"
            local Person = orm.entity { name = "User", table = "people", { "no", type = "integer", primary = true },
                { "full_name", type = "string" } }
            local schema = open { Person, Post }
            local rename = { users = "people", ["users.id"] = "no", ["people.name"] = "full_name" }
            schema:update { rename = rename, safe = false }
            assert.same({}, schema:diff { safe = false })
            assert.equal("full_name no", columns "people")
            assert.same({ { "1", "Ann" } }, db:raw(config):rows "select no, full_name from people")
            assert.equal("author_no id", columns "posts")
            assert.equal("1", value "select author_no from posts")
            local err = raises("migration", function() schema:update({ rename = rename }) end)
            assert.truthy(err.message:find("option 'rename'", 1, true))
        end)

        it("renames what leaves its name to a new property, and to a new entity", function()
            open({ user({ { "name", type = "string", unique = true }, age }), Post }):create()
            db:raw(config):exec "insert into users (id, name) values (1, 'Ann')"
            db:raw(config):exec "insert into posts (author_id) values (1)"
            local Person = orm.entity { name = "User", table = "people", { "id", type = "integer", primary = true },
                { "title", type = "string", unique = true }, { "name", type = "integer", default = 5, unique = true },
                age }
            local New = orm.entity { name = "New", table = "users", { "id", type = "integer", primary = true },
                { "name", type = "string", unique = true } }
            local schema = open { Person, New, Post }
            schema:update { safe = false, rename = { users = "people", ["users.name"] = "title" } }
            assert.same({}, schema:diff { safe = false })
            assert.same({ { "1", "Ann", "5" } }, db:raw(config):rows "select id, title, name from people")
            assert.equal("0", value "select count(*) from users")
            assert.equal("1", value "select count(*) from posts")
            local em = orm.instance().em:fork()
            raises("foreign_key_violation", function() em:insert(Post, { author = 7 }) end)
        end)

        it("drops no table where a context has migrated that this process does not know", function()
            local schema = open({ user { name }, other() })
            schema:update()
            db:raw(config):exec "create table heddle_migrations (context text not null, name text not null)"
            db:raw(config):exec "insert into heddle_migrations (context, name) values ('far', '20260101000000_first')"
            schema = open({ user { age } })
            local changed = schema:update { safe = false }
            assert.equal("age id", columns "users")
            assert.equal("id", columns "other")
            assert.matches("context 'far'", changed.left_out[1], 1, true)
            assert.matches("table 'other'", changed.left_out[2], 1, true)
            db:raw(config):exec "update heddle_migrations set context = 'default'"
            schema:update { safe = false }
            assert.equal("", columns "other")
        end)

        it("never touches what another context has in the same database, nor Heddle's record", function()
            open({ user { name } }):create()
            local made = {}
            for key, item in pairs(config) do made[key] = item end
            made.context_name, made.entities = "secondary", { other "theirs" }
            orm.init(made).schema:create()
            db:raw(config):exec "create table heddle_migrations (name varchar(10))"
            local schema = orm.instance().schema
            assert.same({}, schema:diff { safe = false })
            assert.same({}, orm.instance("secondary").schema:diff { safe = false })
            orm.close "secondary"
            local planned = schema:diff { safe = false }
            assert.equal(1, #planned)
            assert.truthy(planned[1]:find("theirs", 1, true))
        end)

        it("M3: refuses a NOT NULL column that nothing fills, where there are rows", function()
            open({ user {} }):create()
            local schema = open { user { name } }
            assert.is_true(#schema:diff() > 0) -- no rows, no harm
            db:raw(config):exec "insert into users default values"
            local err = raises("migration", function() schema:update() end)
            assert.same({ "User", "name", "default" }, { err.entity, err.property, err.context })
            assert.truthy(err.message:find("default", 1, true))
            assert.equal("id", columns "users")
            open({ user { { "name", type = "string", default = "it's" } } }):update()
            assert.equal("it's", value "select name from users")
        end)

        it("M3: refuses NOT NULL where rows have NULL; a default fills them", function()
            open({ user { age } }):create()
            db:raw(config):exec "insert into users (age) values (null), (3)"
            local schema = open { user { { "age", type = "integer" } } }
            local err = raises("migration", function() schema:update() end)
            assert.equal("age", err.property)
            open({ user { { "age", type = "integer", default = 9 } } }):update()
            assert.same({ { "3" }, { "9" } }, db:raw(config):rows "select age from users order by age")
        end)

        it("does all or nothing", function()
            open({ user { name } }):create()
            db:raw(config):exec "insert into users (name) values ('Ann'), ('Ann')"
            local schema = open { user { { "name", type = "string", unique = true }, age }, other() }
            assert.has_error(function() schema:update() end)
            assert.equal("id name", columns "users")
            assert.has_error(function() value "select count(*) from other" end)
            assert.equal("2", value "select count(*) from users")
            -- The connection is what it was: foreign keys hold.
            db:raw(config):exec "delete from users where id = 2"
            schema:update()
            assert.same({}, schema:diff { safe = false })
        end)

        it("leaves foreign keys on behind it", function()
            local schema = open { user { name }, Post }
            schema:update()
            local em = orm.instance().em:fork()
            raises("foreign_key_violation", function() em:insert(Post, { author = 99 }) end)
            assert.equal(0, orm.instance():pool_stats().in_use)
        end)

        it("names an option that it does not know", function()
            local schema = open { user {} }
            local err = raises("unknown_property", function() schema:update({ saef = false }) end)
            assert.truthy(err.message:find("did you mean 'safe'", 1, true))
            raises("validation", function() schema:diff({ safe = "no" }) end)
            raises("validation", function() schema:diff("all") end)
        end)

        it("follows a view, and says which entity's SQL is wrong", function()
            local function view(text)
                return orm.entity { name = "Adult", table = "adults", expression = text,
                    { "id", type = "integer", primary = true } }
            end
            open({ user { age }, view "select id from users where age > 17" }):update()
            local schema = open { user { age }, view "select id from users where age > 20" }
            assert.is_true(#schema:diff() > 0)
            schema:update()
            assert.same({}, schema:diff { safe = false })
            db:raw(config):exec "insert into users (age) values (18), (21)"
            assert.equal("1", value "select count(*) from adults")
            schema = open { user { { "age", type = "integer", nullable = true, check = "age >> (" } } }
            local err = raises("metadata", function() schema:diff() end)
            assert.equal("User", err.entity)
        end)

        it("drops a column together with what is computed from it", function()
            local long = { "long", type = "integer", generated = "length(name)", nullable = true }
            open({ user { name, long, age } }):create()
            db:raw(config):exec "insert into users (name, age) values ('Ann', 7)"
            local schema = open { user { age } }
            schema:update { safe = false }
            assert.same({}, schema:diff { safe = false })
            assert.equal("age id", columns "users")
            assert.equal("7", value "select age from users")
        end)

        it("makes tables that refer to each other in any order", function()
            local A = orm.entity { name = "A", { "id", type = "integer", primary = true }, { "b", many_to_one = "B" } }
            local B = orm.entity { name = "B", { "id", type = "integer", primary = true }, { "a", many_to_one = "A" },
                { "c", many_to_one = "C", nullable = true } }
            local C = orm.entity { name = "C", { "id", type = "integer", primary = true }, { "a", many_to_one = "A" } }
            local schema = open { A, B, C }
            schema:update()
            assert.same({}, schema:diff { safe = false })
            schema = open { other() }
            schema:update { safe = false }
            assert.same({}, schema:diff { safe = false })
            assert.equal("", columns "a")
            open({ A, B, C }):create()
        end)
    end)
end)
