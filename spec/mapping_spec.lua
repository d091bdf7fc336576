local entity = require "heddle.entity"
local errors = require "heddle.errors"
local mapping = require "heddle.mapping"
local naming = require "heddle.naming"

local id = { "id", type = "integer", primary = true }

local function build(classes, driver, strategy, opts)
    return mapping.build("default", driver or "postgres", classes, naming.strategy(strategy), opts)
end

local function define(definition) return entity.entity(definition) end

local function refused(kind, classes, ...)
    local ok, err = pcall(build, classes)
    assert.is_false(ok)
    assert.is_true(errors.is_error(err, kind), tostring(err))
    for _, words in ipairs { ... } do
        assert.truthy(err.message:find(words, 1, true), ("%q is not in %q"):format(words, err.message))
    end
    return err
end

local function names(list)
    local result = {}
    for position, item in ipairs(list) do result[position] = item.name end
    return result
end

describe("mapping", function()
    it("columns stand in declared order, foreign keys where their relation stands", function()
        local Team = define { name = "Team", { "id", type = "bigint", primary = true, as = "string" } }
        local User = define {
            name = "User", table = "users", id, { "fullName", type = "string", length = 40 },
            { "team", many_to_one = Team, nullable = true, on_delete = "set null" },
            { "secret", type = "text", hidden = true }, { "note", persist = false },
        }
        local map = build({ User, Team }).by_name.User
        assert.equal("users", map.table)
        assert.equal(0, map.id)
        assert.same({ "id", "full_name", "team_id", "secret" }, names(map.columns))
        for position, column in ipairs(map.columns) do
            assert.equal(position, column.index)
            assert.equal(column, map.column_of[column.name])
        end
        assert.same({ map.columns[1] }, map.key)
        assert.equal(map.columns[1], map.auto_key)
        assert.is_true(map.columns[1].autoincrement)
        local key = map.column_of.team_id
        assert.equal("team", key.property)
        assert.equal("bigint", key.type)
        assert.equal("string", key.as)
        assert.is_true(key.nullable)
        assert.is_false(key.raw)
        assert.is_true(map.props.fullName.raw)
        assert.is_nil(map.props.secret.raw)
        assert.is_true(map.column_of.secret.hidden)
        assert.is_nil(map.props.note.column)
        assert.is_true(map.props.note.raw)
        assert.equal(map.props.team, map.list[3])
    end)

    it("a foreign key refers to the target's key and carries its rules", function()
        local Team = define { name = "Team", id }
        local User = define { name = "User", id, { "team", many_to_one = "Team", nullable = true,
            on_delete = "set null", on_update = "cascade" } }
        local built = build { User, Team }
        local map, team = built.by_class[User], built.by_class[Team]
        local entry = map.foreign_keys[1]
        assert.equal("team", entry.property)
        assert.equal(team, entry.target)
        assert.same({ map.column_of.team_id }, entry.columns)
        assert.same({ team.column_of.id }, entry.target_columns)
        assert.equal("set null", entry.on_delete)
        assert.equal("cascade", entry.on_update)
        assert.is_true(entry.nullable)
        assert.is_true(entry.deferrable)
        assert.equal("user_team_id_foreign", entry.name)
        assert.equal(entry, map.column_of.team_id.foreign_key)
        assert.is_false(build({ User, Team }, "sqlite").by_class[User].foreign_keys[1].deferrable)
    end)

    it("a key that is itself a foreign key hands its columns on", function()
        local Order = define { name = "Order", id }
        local Line = define { name = "Line", { "no", type = "smallint", primary = true },
            { "order", many_to_one = "Order", primary = true } }
        local Part = define { name = "Part", { "line", one_to_one = "Line", primary = true },
            { "spare", many_to_one = "Line", nullable = true, join_column = { "a", "b" } } }
        local built = build { Part, Line, Order }
        local line, part = built.by_name.Line, built.by_name.Part
        assert.same({ "no", "order_id" }, names(line.key))
        assert.is_nil(line.auto_key)
        assert.same({ "line_no", "line_order_id" }, names(part.key))
        assert.same({ "line_no", "line_order_id", "a", "b" }, names(part.columns))
        assert.equal("smallint", part.column_of.line_no.type)
        assert.same(line.key, part.foreign_keys[1].target_columns)
        refused("metadata", { define { name = "A", { "b", many_to_one = "B", primary = true } },
            define { name = "B", { "a", many_to_one = "A", primary = true } } }, "primary key")
        refused("metadata", { Order, Line, define { name = "Bad", id,
            { "line", many_to_one = "Line", join_column = "line_no" } } }, "'line'", "names 1")
    end)

    it("contract 1: a single integer key is generated unless the program provides it", function()
        local function auto(property)
            return build({ define { name = "E", property } }).by_name.E.auto_key ~= nil
        end
        for _, kind in ipairs { "smallint", "integer", "bigint" } do
            assert.is_true(auto { "id", type = kind, primary = true })
        end
        assert.is_false(auto { "id", type = "integer", primary = true, autoincrement = false })
        assert.is_false(auto { "id", type = "integer", primary = true, default = 1 })
        assert.is_false(auto { "id", type = "integer", primary = true, default_sql = "nextval('s')" })
        assert.is_false(auto { "id", type = "string", primary = true })
        local built = build { define { name = "E", { "id", type = "uuid", primary = true, default_sql = "f()" } } }
        assert.equal("f()", built.by_name.E.key[1].default_sql)
        local keyed = build { define { name = "P", id },
            define { name = "U", { "p", one_to_one = "P", primary = true } } }
        assert.is_nil(keyed.by_name.U.auto_key)
    end)

    it("contract 1: a target that no one registered is a metadata error with the nearest name", function()
        local err = refused("metadata", { define { name = "Book", id, { "author", many_to_one = "Autor" } },
            define { name = "Author", id } }, "'Book'", "'author'", "'Autor'", "did you mean 'Author'?")
        assert.equal("Book", err.entity)
        assert.equal("author", err.property)
        assert.equal("default", err.context)
        local Author, other = define { name = "Author", id }, define { name = "Author", id }
        refused("metadata", { define { name = "Book", id, { "author", many_to_one = other } }, Author },
            "another definition")
    end)

    it("contract 2: two definitions of one name are a metadata error naming both places", function()
        local first = define { name = "User", id }
        local second = define { name = "User", id }
        refused("metadata", { first, second }, entity.metadata(first).source, entity.metadata(second).source)
        assert.equal(1, #build({ first, first }).list)
    end)

    it("both sides of a relation find each other", function()
        local built = build {
            define { name = "Author", id, { "books", one_to_many = "Book", mapped_by = "author",
                order_by = { "title desc nulls last", { id = "asc" } } },
                { "profile", one_to_one = "Profile", mapped_by = "author" } },
            define { name = "Book", id, { "title", type = "string" },
                { "author", many_to_one = "Author", inversed_by = "books" } },
            define { name = "Profile", id, { "author", one_to_one = "Author" } },
        }
        local author, book, profile = built.by_name.Author, built.by_name.Book, built.by_name.Profile
        assert.equal(book.props.author, author.props.books.inverse)
        assert.equal(author.props.books, book.props.author.inverse)
        assert.equal(book, author.props.books.target)
        assert.is_nil(author.props.books.columns)
        assert.equal(profile.props.author, author.props.profile.inverse)
        assert.same({ profile.column_of.author_id }, profile.uniques[1].columns)
        assert.is_true(profile.column_of.author_id.unique)
    end)

    it("sides that do not fit are refused at the property that says so", function()
        local function author(property) return define { name = "Author", id, property } end
        local Book = define { name = "Book", id, { "title", type = "string" }, { "author", many_to_one = "Author" },
            { "editor", many_to_one = "Book", nullable = true } }
        refused("metadata", { author { "books", one_to_many = "Book", mapped_by = "autor" }, Book },
            "'books'", "did you mean 'author'?")
        refused("metadata", { author { "books", one_to_many = "Book", mapped_by = "title" }, Book }, "'books'")
        refused("metadata", { author { "books", one_to_many = "Book", mapped_by = "editor" }, Book }, "'books'")
        refused("metadata", { author { "books", one_to_many = "Book", mapped_by = "author",
            order_by = "titel" }, Book }, "'books'", "did you mean 'title'?")
        refused("metadata", { author { "books", one_to_many = "Book", mapped_by = "author",
            order_by = "title upwards" }, Book }, "'books'")
        refused("metadata", { define { name = "Author", id, { "a", one_to_many = "Book", mapped_by = "author" },
            { "b", one_to_many = "Book", mapped_by = "author" } }, Book }, "'b'", "'a'")
        refused("metadata", { define { name = "Author", id },
            define { name = "Book", id, { "author", many_to_one = "Author", inversed_by = "id" } } }, "'author'")
    end)

    it("a many_to_many has one pivot table, seen from both sides", function()
        local built = build {
            define { name = "Post", id, { "tags", many_to_many = "Tag" },
                { "related", many_to_many = "Post", pivot_table = "links", join_column = "from_id" } },
            define { name = "Tag", { "code", type = "string", primary = true },
                { "posts", many_to_many = "Post", mapped_by = "tags" } },
        }
        local post, tag = built.by_name.Post, built.by_name.Tag
        local pivot = post.props.tags.pivot
        assert.equal(pivot, tag.props.posts.pivot)
        assert.equal("post_tags", pivot.table)
        assert.same({ "post_id" }, names(pivot.owner_columns))
        assert.same({ "tag_code" }, names(pivot.target_columns))
        assert.equal("links", post.props.related.pivot.table)
        assert.same({ "from_id" }, names(post.props.related.pivot.owner_columns))
        assert.same({ "post_2_id" }, names(post.props.related.pivot.target_columns))
        refused("metadata", { define { name = "Tag", id }, define { name = "Post", id,
            { "tags", many_to_many = "Tag", pivot_table = "tag" } } }, "'tags'", "pivot_table")
    end)

    it("F5: every key, index and check has a name that leads back to its columns", function()
        local map = build({ define {
            name = "Item", { "id", type = "uuid", primary = true }, { "email", type = "string", unique = true },
            { "code", type = "string", unique = "item_code" },
            { "age", type = "integer", index = true, check = "age > 0" },
            { "parent", many_to_one = "Item", nullable = true },
            { "owner", many_to_one = "Item", nullable = true, index = false },
            uniques = { { "email" }, { "age", "parent" }, { "code", where = "age > 1", name = "grown" } },
            indexes = { { "age desc", "code", unique = true } }, checks = { "age < 150" },
        } }).by_name.Item
        assert.same({ "item_email_unique", "item_code", "item_age_parent_id_unique", "grown", "item_age_code_unique" },
            names(map.uniques))
        assert.same({ map.column_of.age, map.column_of.parent_id }, map.uniques[3].columns)
        assert.equal("age > 1", map.uniques[4].where)
        assert.equal(map.indexes[2], map.uniques[4].index)
        assert.is_nil(map.uniques[1].index)
        assert.same({ "item_age_index", "grown", "item_age_code_unique", "item_parent_id_index" }, names(map.indexes))
        assert.same({ { map.column_of.age, desc = true }, { map.column_of.code, desc = false } },
            map.indexes[3].columns)
        assert.same({ { expression = "age > 0", name = "item_age_check", property = "age" },
            { expression = "age < 150", name = "item_1_check" } }, map.checks)
    end)

    it("names that PostgreSQL would cut off stay distinct", function()
        local long = ("x"):rep(70)
        local one, other = naming.constraint(long, { "a" }, "unique"), naming.constraint(long, { "b" }, "unique")
        assert.equal(63, #one)
        assert.not_equal(one, other)
        assert.equal(one, naming.constraint(long, { "a" }, "unique"))
        assert.equal("t_a_b_index", naming.constraint("t", { "a", "b" }, "index"))
    end)

    it("clashes within a context are refused", function()
        refused("metadata", { define { name = "A", id, { "b", type = "text", column = "id" } } }, "'b'", "'id'")
        refused("metadata", { define { name = "A", table = "t", id }, define { name = "B", table = "t", id } }, "'B'")
        refused("metadata", { define { name = "A", id, { "x", type = "text" }, { "y", type = "text" },
            indexes = { { "x", name = "n" }, { "y", name = "n" } } } }, "'n'")
        local cased = define { name = "A", id, { "b", type = "text", column = "ID" } }
        assert.equal(2, #build({ cased }, "postgres").list[1].columns)
        assert.is_false(pcall(build, { cased }, "sqlite"))
    end)

    it("contract 1: tables and columns are named in snake_case, or as the context's strategy says", function()
        assert.equal("analytics_log", naming.snake_case("AnalyticsLog"))
        assert.equal("http_log2_entry", naming.snake_case("HTTPLog2Entry"))
        local Log = define { name = "AnalyticsLog", id, { "userId", type = "integer" },
            { "parent", many_to_one = "AnalyticsLog", nullable = true } }
        local map = build({ Log }).list[1]
        assert.equal("analytics_log", map.table)
        assert.same({ "id", "user_id", "parent_id" }, names(map.columns))
        map = build({ Log }, "postgres", {
            table = function(name) return "tbl_" .. name end,
            join_column = function(property, column) return property .. "__" .. column end,
        }).list[1]
        assert.equal("tbl_AnalyticsLog", map.table)
        assert.same({ "id", "user_id", "parent__id" }, names(map.columns))
        local ok, err = pcall(build, { Log }, "postgres", { table = function() return "" end })
        assert.is_false(ok)
        assert.is_true(errors.is_error(err, "config"))
    end)

    it("C4: one definition serves several contexts, and building leaves it as it was", function()
        local User = define { name = "User", schema = "app", id, { "boss", many_to_one = "User", nullable = true } }
        local on_postgres = build({ User }, "postgres").list[1]
        local on_sqlite = build({ User }, "sqlite").list[1]
        assert.not_equal(on_postgres.columns[2], on_sqlite.columns[2])
        assert.equal("app", on_postgres.schema)
        assert.is_nil(on_sqlite.schema)
        assert.is_nil(entity.metadata(User).by_name.boss.columns)
        assert.equal("x", build({ define { name = "T", id } }, "postgres", nil, { schema = "x" }).list[1].schema)
    end)
end)
