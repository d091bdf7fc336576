-- Pivot tables: what the mapping makes of a many_to_many, the tables of the schema, and pairs in them.

local databases = require "spec.support.databases"
local entity = require "heddle.entity"
local errors = require "heddle.errors"
local expect = require "spec.support.expect"
local library = require "spec.support.library"
local mapping = require "heddle.mapping"
local naming = require "heddle.naming"
local orm = require "heddle"
local schema_sql = require "heddle.schema.sql"
local unit = require "spec.support.unit"

local id = { "id", type = "integer", primary = true }

local function define(definition) return entity.entity(definition) end

local function build(classes, driver)
    return mapping.build("default", driver or "postgres", classes, naming.strategy())
end

local function refused(classes, ...)
    local ok, err = pcall(build, classes)
    assert.is_false(ok)
    assert.is_true(errors.is_error(err, "metadata"), tostring(err))
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

local function tag(definition)
    definition = definition or {}
    definition.name = "Tag"
    definition[1] = { "code", type = "string", length = 9, primary = true }
    return define(definition)
end

describe("the mapping of a pivot table", function()
    it("is hidden, behind those of the entities, with an id of its own", function()
        local Post = define { name = "Post", id, { "tags", many_to_many = "Tag" } }
        local built = build { Post, tag() }
        local hidden = built.list[3]
        assert.equal(3, #built.list)
        assert.is_true(hidden.hidden)
        assert.equal(2, hidden.id)
        assert.equal(built.by_name.Post.props.tags.pivot.mapping, hidden)
        assert.is_nil(built.by_name[hidden.name])
        for _, map in pairs(built.by_class) do assert.is_nil(map.hidden) end
        assert.same({ "post_id", "tag_code" }, names(hidden.columns))
        assert.same(hidden.columns, hidden.key)
        assert.equal("integer", hidden.columns[1].type)
        assert.equal(9, hidden.columns[2].length)
        for position, column in ipairs(hidden.columns) do
            assert.equal(position, column.index)
            assert.is_true(column.primary)
            assert.is_false(column.nullable)
            assert.is_false(column.autoincrement)
        end
        assert.same({ "post_tags_post_id_foreign", "post_tags_tag_code_foreign" }, names(hidden.foreign_keys))
        for position, target in ipairs { built.by_name.Post, built.by_name.Tag } do
            local entry = hidden.foreign_keys[position]
            assert.equal(target, entry.target)
            assert.same(target.key, entry.target_columns)
            assert.equal("cascade", entry.on_delete)
            assert.equal("tags", entry.property)
        end
    end)

    it("is shared by both sides, whose roles are those of the owner", function()
        local built = build { tag { [2] = { "posts", many_to_many = "Post", mapped_by = "tags" } },
            define { name = "Post", id, { "tags", many_to_many = "Tag", inversed_by = "posts" } } }
        local pivot = built.by_name.Tag.props.posts.pivot
        assert.equal(built.by_name.Post.props.tags.pivot, pivot)
        assert.same({ "post_id" }, names(pivot.owner_columns))
        assert.same({ "tag_code" }, names(pivot.target_columns))
        assert.equal(built.by_name.Post, pivot.owner)
        assert.is_false(pivot.fixed_order)
    end)

    it("takes names and rules from the relation", function()
        local Node = define { name = "Node", id, { "next", many_to_many = "Node", pivot_table = "edges",
            join_column = "from_id", inverse_join_column = "to_id", on_delete = "restrict", on_update = "cascade" } }
        local pivot = build({ Node }).by_name.Node.props.next.pivot
        assert.equal("edges", pivot.mapping.table)
        assert.same({ "from_id", "to_id" }, names(pivot.mapping.columns))
        assert.equal("restrict", pivot.mapping.foreign_keys[2].on_delete)
        assert.equal("cascade", pivot.mapping.foreign_keys[1].on_update)
        refused({ define { name = "Node", id, { "next", many_to_many = "Node", join_column = "x",
            inverse_join_column = "X" } } }, "'next'", "'X'", "inverse_join_column")
        refused({ define { name = "Node", id, { "next", many_to_many = "Node", join_column = { "a", "b" } } } },
            "'next'", "names 2")
        refused({ define { name = "Node", id, { "next", many_to_many = "Node", fixed_order = true,
            join_column = "id" } } }, "'next'", "fixed_order", "'id'")
    end)

    it("stands over the table of an entity: its columns, and those that the program has values for", function()
        local built = build(library.entities)
        local entry, pivot = built.by_name.Enrolment, built.by_name.Student.props.courses.pivot
        assert.equal(entry, pivot.entity)
        assert.equal("enrolments", pivot.mapping.table)
        assert.same({ "student_id", "course_id", "grade", "at", "version" }, names(pivot.mapping.columns))
        assert.same({ "student_id", "course_id" }, names(pivot.mapping.key))
        assert.equal(3, pivot.mapping.columns[3].view.prop.default)
        assert.not_equal(entry.columns[3], pivot.mapping.columns[3])
        assert.equal("enrolments_student_id_foreign", pivot.mapping.foreign_keys[1].name)
        assert.same({}, pivot.mapping.indexes)
    end)

    it("finds the entity by its table, and the sides by their columns", function()
        local Person = define { name = "Person", id, { "friends", many_to_many = "Person", pivot_table = "friendship",
            join_column = "one_id" } }
        local Friendship = define { name = "Friendship", id, { "one", many_to_one = "Person" },
            { "other", many_to_one = "Person" } }
        local pivot = build({ Person, Friendship }).by_name.Person.props.friends.pivot
        assert.equal("Friendship", pivot.entity.name)
        assert.same({ "one_id" }, names(pivot.owner_columns))
        assert.same({ "other_id" }, names(pivot.target_columns))
        local function person(options)
            options[1], options.many_to_many = "friends", "Person"
            return { define { name = "Person", id, options }, Friendship }
        end
        refused(person { pivot_entity = "Friendship" }, "'friends'", "several", "join_column")
        refused(person { pivot_entity = "Friendship", join_column = "x_id" }, "'friends'", "join_column")
        refused(person { pivot_entity = "Frendship" }, "'friends'", "did you mean 'Friendship'?")
        refused({ define { name = "Post", id, { "tags", many_to_many = "Tag", pivot_entity = "Tag" } }, tag() },
            "'tags'", "pivot_entity", "no many_to_one")
        refused({ define { name = "Post", id, { "tags", many_to_many = "Tag", pivot_entity = "Link",
            fixed_order = true } }, tag(), define { name = "Link", { "post", many_to_one = "Post", primary = true },
            { "tag", many_to_one = "Tag", primary = true } } }, "'tags'", "fixed_order", "generated key")
        assert.equal("id", build(person { pivot_entity = Friendship, join_column = "other_id", fixed_order = true })
            .by_name.Person.props.friends.pivot.order_column)
    end)

    it("options that do not go together are refused where they stand", function()
        for _, options in ipairs { { fixed_order = true, order_by = "code" }, { pivot_entity = "A", pivot_table = "b" },
            { mapped_by = "posts", fixed_order = true }, { mapped_by = "posts", pivot_entity = "A" } } do
            options[1], options.many_to_many = "tags", "Tag"
            local ok, err = pcall(define, { name = "Post", id, options })
            assert.is_false(ok)
            assert.is_true(errors.is_error(err, "metadata"), tostring(err))
        end
        assert.has_error(function()
            define { name = "Post", id, { "tag", many_to_one = "Tag", fixed_order = true } }
        end)
    end)

    it("order_by is checked along its path", function()
        local Author = define { name = "Author", id, { "name", type = "string" } }
        local function post(order)
            return { define { name = "Shelf", id, { "posts", many_to_many = "Post", order_by = { order } } },
                define { name = "Post", id, { "author", many_to_one = "Author" } }, Author }
        end
        assert.is_table(build(post "author.name desc"))
        refused(post "author.nme", "'posts'", "'nme'", "did you mean 'name'?")
        refused(post "author.name.x", "'posts'", "'author.name'")
    end)

    it("two relations over one table are refused", function()
        refused({ define { name = "Post", id, { "a", many_to_many = "Tag", pivot_table = "p" },
            { "b", many_to_many = "Tag", pivot_table = "p" } }, tag() }, "'b'", "'p'", "Post.a", "pivot_table")
    end)
end)

databases.each(function(db)
    describe("pivot tables in a database", function()
        local work

        before_each(function() work = unit.open(db, library.entities) end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function count(sql) return tonumber(work.raw:value(sql)) end

        it("M1: are made once, and dropped; an entity's table is nobody else's", function()
            local made = {}
            for _, sql in ipairs(work.instance.schema:create_sql()) do
                local name = sql:match '^CREATE TABLE "([^"]+)"'
                if name then made[#made + 1] = name end
            end
            table.sort(made)
            assert.same({ "authors", "authors_friends", "books", "books_tags", "courses", "enrolments", "playlists",
                "playlists_tracks", "profiles", "students", "tags", "tracks" }, made)
            work.instance.schema:drop()
            work.instance.schema:create()
            library.seed(work)
            work.instance.schema:drop()
            work.instance.schema:create()
            assert.equal(0, count "select count(*) from books_tags")
        end)

        it("a pair is there once, and goes with either side", function()
            library.seed(work)
            assert.has_error(function() work.raw:exec "insert into books_tags values (1, 'lua')" end)
            assert.has_error(function()
                work.raw:exec [[insert into playlists_tracks (playlist_owner, playlist_name, track_disc, track_no)
                    values ('ann', 'a', 'x', 1)]]
            end)
            if db.name == "sqlite" then work.raw:exec "pragma foreign_keys = on" end
            work.raw:exec "delete from tags where name = 'lua'"
            assert.equal(2, count "select count(*) from books_tags")
            work.raw:exec "delete from books where id = 1"
            assert.equal(1, count "select count(*) from books_tags")
        end)

        it("a fixed order is that of a generated key", function()
            library.seed(work)
            assert.same({ { "1", "y" }, { "3", "x" }, { "5", "x" } }, work.raw:rows [[select id, track_disc
                from playlists_tracks where playlist_name = 'a' order by id]])
            local em = work.em
            local list = em:find_one(library.Playlist, { "ann", "a" }, { populate = { "tracks" } })
            list.tracks:set { list.tracks[2], list.tracks[1], list.tracks[3] }
            em:flush()
            local fresh = em:fork():find_one(library.Playlist, { "ann", "a" }, { populate = { "tracks" } })
            assert.equal("x1 y1 x2", library.names(fresh.tracks))
        end)

        it("pairs of an entity's table get its defaults and what on_create gives", function()
            library.seed(work)
            local em = work.em
            em:find_one(library.Student, 2).courses:add(em:find_one(library.Course, 2))
            em:find_one(library.Course, 1).students:remove(em:find_one(library.Student, 1))
            em:flush()
            assert.same({
                { "1", "2", "4", "then", "1" }, { "2", "1", "2", "then", "2" }, { "2", "2", "3", "now", "1" },
            }, work.raw:rows [[select student_id, course_id, grade, at, version from enrolments
                order by student_id, course_id]])
            local entry = em:find_one(library.Enrolment, { student = 2, course = 2 })
            entry.grade = 1
            em:flush()
            assert.equal(2, entry.version)
        end)

        it("a pair that an entity's table holds twice is one member", function()
            local Post = orm.entity { name = "Post", id, { "tags", many_to_many = "Tag", pivot_entity = "Link" } }
            local Tag = orm.entity { name = "Tag", id }
            local Link = orm.entity { name = "Link", id, { "post", many_to_one = "Post" },
                { "tag", many_to_one = "Tag" } }
            orm.close()
            work = unit.open(db, { Post, Tag, Link })
            work.raw:exec "insert into post (id) values (1)"
            work.raw:exec "insert into tag (id) values (1), (2)"
            work.raw:exec "insert into link (post_id, tag_id) values (1, 2), (1, 1), (1, 2)"
            local post = work.em:find_one(Post, 1, { populate = { "tags" } })
            assert.equal(2, #post.tags)
            post.tags:remove(post.tags[2])
            work.em:flush()
            assert.equal("1", work.raw:value "select count(*) from link")
        end)

        it("F5: what a pair violates names the relation", function()
            library.seed(work)
            local em = work.em
            local book = em:find_one(library.Book, 1)
            book.tags:add(em:get_reference(library.Tag, "gone"))
            local err = expect.raises("foreign_key_violation", function() em:flush() end)
            assert.equal("Book", err.entity)
            assert.equal("tags", err.property)
        end)

        it("schema statements of one context name each table once, whatever their order", function()
            local classes = {}
            for i, item in ipairs(library.entities) do classes[#library.entities + 1 - i] = item end
            local built = mapping.build("x", db.name, classes, naming.strategy())
            assert.equal(#schema_sql.create(build(library.entities, db.name).list, db.name),
                #schema_sql.create(built.list, db.name))
        end)
    end)
end)
