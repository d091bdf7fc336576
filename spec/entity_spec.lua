local array = require "heddle.array"
local entity = require "heddle.entity"
local errors = require "heddle.errors"
local types = require "heddle.types"

local id = { "id", type = "integer", primary = true }

local function refused(definition, ...)
    local ok, err = pcall(entity.entity, definition)
    assert.is_false(ok)
    assert.is_true(errors.is_error(err, "metadata"), tostring(err))
    for _, words in ipairs { ... } do
        assert.truthy(err.message:find(words, 1, true), ("%q is not in %q"):format(words, err.message))
    end
    return err
end

-- A definition with one more property.
local function with(property) return { name = "User", id, property } end

describe("orm.entity", function()
    it("contract 1: gives a new table, empty but for what its author puts on it", function()
        local definition = { name = "User", id }
        local User = entity.entity(definition)
        assert.not_equal(definition, User)
        assert.is_nil(next(User))
        assert.equal("Entity<User>", tostring(User))
        function User:label() return self end
        assert.same({ "label" }, { (next(User)) })
    end)

    it("contract 1: the contract's own example is taken", function()
        local now = function() return 1 end
        local User = entity.entity {
            name = "User", table = "users",
            { "id", type = "integer", primary = true },
            { "email", type = "string", length = 255, unique = true },
            { "name", type = "string" },
            { "bio", type = "text", nullable = true, lazy = true },
            { "created_at", type = "timestamp", on_create = now },
            { "team", many_to_one = "Team", nullable = true, on_delete = "set null" },
            { "books", one_to_many = "Book", mapped_by = "author", cascade = { "persist", "remove" },
              orphan_removal = true },
            { "tags", many_to_many = "Tag" },
            { "profile", one_to_one = "Profile", mapped_by = "user" },
        }
        local meta = entity.metadata(User)
        assert.equal("User", meta.name)
        assert.equal("users", meta.table)
        assert.equal(User, meta.class)
        assert.equal(9, #meta.properties)
        assert.equal(meta.properties[2], meta.by_name.email)
        assert.same({ meta.by_name.id }, meta.primary)
        assert.equal(255, meta.by_name.email.length)
        assert.equal(now, meta.by_name.created_at.on_create)
        assert.equal("many_to_one", meta.by_name.team.kind)
        assert.same({ persist = true }, meta.by_name.team.cascade)
        assert.same({ persist = true, remove = true }, meta.by_name.books.cascade)
        assert.is_true(meta.by_name.tags.owner)
        assert.is_false(meta.by_name.profile.owner)
        assert.is_true(meta.check_rows)
        assert.truthy(meta.source:find("entity_spec.lua:%d+$"))
    end)

    it("contract 1: calling an entity makes an instance", function()
        local User, given, data = entity.entity { name = "User", id }, nil, { id = 1 }
        local before = entity.construct
        entity.construct = function(class, values)
            given = { class, values }
            return "instance"
        end
        local made = User(data)
        entity.construct = before
        assert.equal("instance", made)
        assert.equal(User, given[1])
        assert.equal(data, given[2])
    end)

    it("contract 1: a method that hides a property raises when it is defined", function()
        local User = entity.entity(with { "name", type = "string" })
        local ok, err = pcall(function() function User:name() return self end end)
        assert.is_false(ok)
        assert.is_true(errors.is_error(err, "metadata"))
        assert.equal("User", err.entity)
        assert.equal("name", err.property)
        assert.is_nil(next(User))
    end)

    it("contract 1: a wrong option names entity and property and suggests the nearest name", function()
        local err = refused(with { "name", type = "string", lenght = 10 }, "'User'", "'name'", "'lenght'",
            "did you mean 'length'?")
        assert.equal("User", err.entity)
        assert.equal("name", err.property)
        assert.truthy(err.where:find("entity_spec.lua", 1, true))
        refused({ name = "User", tabel = "users", id }, "'User'", "did you mean 'table'?")
        refused(with { "team", many_to_one = "Team", cascad = {} }, "'team'", "did you mean 'cascade'?")
    end)

    it("contract 1: an unknown type names entity and property and suggests the nearest name", function()
        refused(with { "age", type = "interger" }, "'User'", "'age'", "did you mean 'integer'?")
        refused(with { "age" }, "'age'", "'type' is missing")
        refused(with { "age", "integer" }, "'age'", "type = \"integer\"")
    end)

    it("contract 1: two properties of one name are refused", function()
        refused({ name = "User", id, { "name", type = "string" }, { "name", type = "text" } }, "'name'",
            "items 2 and 3")
    end)

    it("a definition says what it is and what it is not", function()
        refused("User", "must be a table")
        refused({ id }, "'name' is missing")
        refused({ name = "", id }, "'name'")
        refused({ name = "User" }, "no primary key")
        refused({ name = "User", id, "name" }, "item 2")
        refused({ name = "User", id, { type = "string" } }, "item 2")
        refused({ name = "User", id, { "full name", type = "string" } }, "'full name'")
        refused({ name = "User", id, nil, { "name", type = "string" } }, "hole")
    end)

    it("options that no value of a type can have are refused", function()
        for _, property in ipairs {
            { "x", type = "text", length = 10 }, { "x", type = "integer", precision = 3 },
            { "x", type = "string", length = 0 }, { "x", type = "string", length = "10" },
            { "x", type = "decimal", scale = 2 }, { "x", type = "decimal", precision = 2, scale = 3 },
            { "x", type = "enum" }, { "x", type = "enum", enum = {} }, { "x", type = "enum", enum = { "a", "a" } },
            { "x", type = "string", enum = { "a" } }, { "x", type = "array" },
            { "x", type = "array", array_of = "blob" }, { "x", type = "text", array_of = "text" },
            { "x", type = "text", as = "string" }, { "x", type = "integer", as = "iso8601" },
            { "x", type = "text", version = true }, { "x", type = "integer", autoincrement = true },
            { "x", type = "integer", default = {} }, { "x", type = "boolean", default = 1 },
            { "x", type = "enum", enum = { "a" }, default = "b" }, { "x", type = "text", default = print },
            { "x", type = "text", default = "a", default_sql = "'a'" }, { "x", type = "text", check = true },
            { "x", type = "text", generated = "1", default = "a" }, { "x", type = "text", on_create = "now" },
            { "x", type = "integer", version = true, nullable = true }, { "x", persist = false, unique = true },
        } do
            refused(with(property), "'x'")
        end
        refused({ name = "User", { "id", type = "integer", primary = true, nullable = true } }, "'id'")
        refused({ name = "User", id, { "a", type = "integer", version = true },
            { "b", type = "integer", version = true } }, "'b'", "version")
    end)

    it("options that fit are kept", function()
        local meta = entity.metadata(entity.entity {
            name = "All", schema = "app", comment = "text", readonly = true, open = true, check_rows = false,
            { "id", type = "bigint", primary = true, autoincrement = false, as = "string" },
            { "price", type = "decimal", precision = 10, scale = 2, default = "1.50", check = "price > 0" },
            { "whole", type = "decimal", precision = 5 },
            { "state", enum = { "new", "done" }, default = "new", index = "by_state" },
            { "words", type = "array", array_of = "string", length = 20, nullable = true },
            { "at", type = "timestamp", as = "iso8601", default_sql = "now()", hidden = true },
            { "n", type = "integer", version = true },
            { "twice", type = "integer", generated = "n * 2" },
            { "note", persist = false },
        })
        local by_name = meta.by_name
        assert.is_false(meta.check_rows)
        assert.is_true(meta.open)
        assert.is_true(meta.readonly)
        assert.is_false(by_name.id.autoincrement)
        assert.equal("string", by_name.id.as)
        assert.equal(2, by_name.price.scale)
        assert.equal(0, by_name.whole.scale)
        assert.equal("enum", by_name.state.type)
        assert.same({ "new", "done" }, by_name.state.enum)
        assert.equal("by_state", by_name.state.index_option)
        assert.equal(4, by_name.state.index)
        assert.equal("string", by_name.words.array_of)
        assert.equal(20, by_name.words.length)
        assert.equal("now()", by_name.at.default_sql)
        assert.equal("n * 2", by_name.twice.generated)
        assert.is_false(by_name.note.persist)
    end)

    it("orm.null as default is no default, another userdata is refused", function()
        local null = package.loaded["heddle.null"]
        package.loaded["heddle.null"] = io.stdout
        local User = entity.entity(with { "note", type = "text", nullable = true, default = io.stdout })
        refused(with { "note", type = "text", default = io.stderr }, "'note'", "'default'")
        package.loaded["heddle.null"] = null
        assert.is_nil(entity.metadata(User).by_name.note.default)
    end)

    it("options of a relation that its kind does not take are refused", function()
        for _, property in ipairs {
            { "x", many_to_one = "Team", one_to_one = "Team" }, { "x", many_to_one = 7 }, { "x", many_to_one = "" },
            { "x", many_to_one = "Team", mapped_by = "users" }, { "x", many_to_one = "Team", type = "integer" },
            { "x", many_to_one = "Team", length = 3 }, { "x", many_to_one = "Team", cascade = { "persits" } },
            { "x", many_to_one = "Team", cascade = "persist" }, { "x", many_to_one = "Team", on_delete = "set null" },
            { "x", many_to_one = "Team", on_delete = "delete" },
            { "x", many_to_one = "Team", primary = true, nullable = true },
            { "x", one_to_many = "Book" }, { "x", one_to_many = "Book", mapped_by = "a", join_column = "b" },
            { "x", one_to_one = "Profile", mapped_by = "user", join_column = "b" },
            { "x", one_to_one = "Profile", mapped_by = "user", owner = true },
            { "x", one_to_one = "Profile", owner = false }, { "x", many_to_many = "Tag", orphan_removal = true },
            { "x", many_to_many = "Tag", mapped_by = "users", pivot_table = "p" },
            { "x", many_to_many = "Tag", primary = true }, { "x", embedded = "Address" },
        } do
            refused(with(property), "'User'", "'x'")
        end
    end)

    it("uniques, indexes and checks name properties that are there", function()
        local function having(option, list)
            return { name = "User", id, { "name", type = "string" }, { "age", type = "integer" }, [option] = list }
        end
        local meta = entity.metadata(entity.entity {
            name = "User", id, { "name", type = "string" }, { "age", type = "integer" },
            uniques = { { "name", "age" }, { "age", where = "age > 3", name = "grown" } },
            indexes = { { "name", "age desc", name = "by_name", unique = true, method = "btree" } },
            checks = { "age > 0", { "age < 150", name = "mortal" } },
        })
        assert.same({ properties = { "age" }, where = "age > 3", name = "grown" }, meta.uniques[2])
        assert.same({ { name = "name", desc = false }, { name = "age", desc = true } }, meta.indexes[1].properties)
        assert.same({ { expression = "age > 0" }, { expression = "age < 150", name = "mortal" } }, meta.checks)
        refused(having("uniques", { { "nme" } }), "uniques, item 1", "did you mean 'name'?")
        refused(having("uniques", { "name" }), "uniques, item 1")
        refused(having("uniques", { {} }), "uniques, item 1")
        refused(having("indexes", { { "name downwards" } }), "indexes, item 1")
        refused(having("indexes", { { "name", metod = "gin" } }), "did you mean 'method'?")
        refused(having("indexes", { { "name", method = "gin; drop" } }), "method")
        refused(having("indexes", { { "name", where = { nme = 1 } } }), "did you mean 'name'?")
        refused(having("indexes", { by_name = { "name" } }), "'by_name'")
        refused(having("checks", { 7 }), "checks, item 1")
    end)

    it("hooks and repository methods are functions of known names", function()
        refused({ name = "User", id, hooks = { before_creat = print } }, "did you mean 'before_create'?")
        refused({ name = "User", id, hooks = { before_create = "print" } }, "'before_create'", "function")
        refused({ name = "User", id, repository = { active = 1 } }, "'active'")
        local hooks = { before_create = print }
        assert.equal(print, entity.metadata(entity.entity { name = "User", id, hooks = hooks }).hooks.before_create)
    end)

    it("a class keeps its metatable, and leaves nothing behind when it is dropped", function()
        local User = entity.entity { name = "User", id }
        assert.is_false(pcall(setmetatable, User, {}))
        local weak = setmetatable({ User }, { __mode = "v" })
        User = nil
        assert.is_nil(User)
        collectgarbage()
        collectgarbage()
        assert.is_nil(weak[1])
    end)

    it("a subclass answers with the methods of what it extends", function()
        local Base = entity.entity { name = "Base", abstract = true, id }
        function Base.label() return "base" end
        local User = entity.entity { name = "User", extends = Base, { "name", type = "string" } }
        assert.equal(Base.label, User.label)
        refused({ name = "User", extends = {}, id }, "'extends'")
    end)
end)

describe("orm.metadata, orm.embeddable, orm.type and orm.array", function()
    it("metadata of anything but an entity is a metadata error", function()
        for _, value in ipairs { "User", 7, {}, setmetatable({}, {}) } do
            local ok, err = pcall(entity.metadata, value)
            assert.is_false(ok)
            assert.is_true(errors.is_error(err, "metadata"))
        end
    end)

    it("contract 1: an embeddable holds values only and is used by embedded", function()
        local Address = entity.embeddable { name = "Address", { "city", type = "string" } }
        assert.equal("Embeddable<Address>", tostring(Address))
        assert.is_false(entity.is_entity(Address))
        local meta = entity.metadata(entity.entity(with { "home", embedded = Address, prefix = "home_" }))
        assert.equal("embedded", meta.by_name.home.kind)
        assert.equal(Address, meta.by_name.home.target)
        refused(with { "home", many_to_one = Address }, "'home'")
        refused(with { "home", embedded = Address, prefix = "a", object = true }, "'home'")
        for _, property in ipairs { { "team", many_to_one = "Team" }, { "id", type = "integer", primary = true } } do
            local ok, err = pcall(entity.embeddable, { name = "Address", property })
            assert.is_false(ok)
            assert.is_true(errors.is_error(err, "metadata"))
        end
    end)

    it("contract 1: a custom type stands for one of the contract's or of the database's own", function()
        local money = types.custom { column = "bigint", to_db = tonumber, from_db = tostring }
        local citext = types.custom { column = "citext" }
        assert.equal("Type<citext>", tostring(citext))
        local meta = entity.metadata(entity.entity {
            name = "Item", id, { "price", type = money }, { "code", type = citext },
        })
        assert.equal("bigint", meta.by_name.price.type)
        assert.equal(money, meta.by_name.price.custom)
        assert.is_nil(meta.by_name.price.cast)
        assert.equal("unknown", meta.by_name.code.type)
        assert.equal("citext", meta.by_name.code.cast)
    end)

    it("contract 1: a wrong custom type is a metadata error with the nearest name", function()
        for words, given in pairs {
            ["did you mean 'column'?"] = { colum = "text" }, ["'column' is missing"] = {},
            ["'to_db'"] = { column = "text", to_db = "tonumber" },
        } do
            local ok, err = pcall(types.custom, given)
            assert.is_false(ok)
            assert.is_true(errors.is_error(err, "metadata"))
            assert.truthy(err.message:find(words, 1, true))
        end
    end)

    it("contract 1: orm.array marks a table under the name by which the binding finds it", function()
        local items = array.new { 1, 2 }
        assert.same({ 1, 2 }, items)
        assert.is_true(array.is_array(items))
        assert.is_true(array.is_array(array.new()))
        assert.is_false(array.is_array({}))
        assert.equal(debug.getregistry()["heddle.array"], getmetatable(items))
    end)
end)
