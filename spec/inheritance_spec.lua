-- Abstract base entities: what an entity takes over from the one that it extends, and what an abstract one cannot be.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

local function define(definition) return orm.entity(definition) end

local function names_of(class)
    local names = {}
    for position, prop in ipairs(orm.metadata(class).properties) do
        assert.equal(position, prop.index)
        names[position] = prop.name
    end
    return table.concat(names, " ")
end

local id = { "id", type = "integer", primary = true }

local function refused(definition, ...) return raises("metadata", function() define(definition) end, ...) end

describe("an entity that extends an abstract one", function()
    it("contract 1: has the base's properties before its own, on any level, and redefines them in place", function()
        local Base = define { name = "Base", abstract = true, id, { "created_at", type = "timestamp" } }
        local Named = define { name = "Named", abstract = true, extends = Base,
            { "name", type = "string", length = 9 } }
        local User = define { name = "User", extends = Named, { "email", type = "string" },
            { "name", type = "text", nullable = true } }
        assert.equal("id created_at", names_of(Base))
        assert.equal("id created_at name", names_of(Named))
        assert.equal("id created_at name email", names_of(User))
        local meta = orm.metadata(User)
        assert.equal("text", meta.by_name.name.type)
        assert.equal("string", orm.metadata(Named).by_name.name.type)
        assert.same({ meta.by_name.id }, meta.primary)
        assert.equal(Named, meta.extends)
        assert.is_false(meta.abstract)
        assert.is_true(orm.metadata(Named).abstract)
    end)

    it("contract 1: two entities that extend one base share nothing that changes", function()
        local Base = define { name = "Base", abstract = true, id, { "tags", type = "json", default = { "a" } } }
        local A = define { name = "A", extends = Base }
        local B = define { name = "B", extends = Base, { "x", type = "text" } }
        assert.not_equal(orm.metadata(A).by_name.id, orm.metadata(B).by_name.id)
        assert.equal("id tags", names_of(A))
        local a, b = A {}, B {}
        a.tags[1] = "changed"
        assert.same({ "a" }, b.tags)
        assert.same({ "a" }, A {}.tags)
    end)

    it("contract 1: has the base's methods and its own, which call the base's", function()
        local Base = define { name = "Base", abstract = true, id, { "name", type = "string" } }
        local User = define { name = "User", extends = Base }
        local Admin = define { name = "Admin", extends = define { name = "Staff", abstract = true, extends = Base } }
        function Base:label() return self.name end
        function User:label() return "user " .. Base.label(self) end
        assert.equal("user Ann", User { name = "Ann" }:label())
        assert.equal("Bob", Admin { name = "Bob" }:label())
        assert.is_nil(rawget(Admin, "label"))
        assert.is_nil(next(Admin))
    end)

    it("contract 1: a method that hides a property raises wherever they meet", function()
        local Base = define { name = "Base", abstract = true, id }
        local User = define { name = "User", extends = Base, { "email", type = "string" } }
        raises("metadata", function() function User.id() end end, "'User'", "'id'")
        raises("metadata", function() function Base.email() end end, "'User'", "'email'")
        function Base.label() end
        refused({ name = "Post", extends = Base, { "label", type = "string" } }, "'Post'", "'label'", "'Base'")
    end)

    it("contract 1: runs both hooks, the base's first", function()
        local seen = {}
        local function note(what) return function(e) seen[#seen + 1] = what .. " " .. tostring(e.id) end end
        local Base = define { name = "Base", abstract = true, id, hooks = { on_init = note "base" } }
        local Middle = define { name = "Middle", abstract = true, extends = Base, hooks = { on_load = note "load" } }
        local User = define { name = "User", extends = Middle, hooks = { on_init = note "user" } }
        User { id = 7 }
        assert.same({ "base 7", "user 7" }, seen)
        assert.is_function(orm.metadata(User).hooks.on_load)
        assert.is_nil(orm.metadata(Base).hooks.on_load)
        local Post = define { name = "Post", extends = Base }
        Post { id = 8 }
        assert.same({ "base 7", "user 7", "base 8" }, seen)
    end)

    it("contract 1: takes over options that it does not set itself", function()
        local Base = define { name = "Base", abstract = true, open = true, readonly = true, check_rows = false,
            schema = "app", id }
        local A = orm.metadata(define { name = "A", extends = Base })
        assert.is_true(A.open and A.readonly)
        assert.is_false(A.check_rows)
        assert.equal("app", A.schema)
        assert.is_nil(A.table)
        local B = orm.metadata(define { name = "B", extends = Base, open = false, readonly = false, check_rows = true,
            schema = "other", table = "bs" })
        assert.is_false(B.open or B.readonly)
        assert.is_true(B.check_rows)
        assert.equal("other", B.schema)
        assert.is_false(B.abstract)
    end)

    it("contract 1: what cannot be is a metadata error that says why", function()
        local Base = define { name = "Base", abstract = true, id }
        local Plain = define { name = "Plain", id }
        refused({ name = "E", extends = Plain }, "'E'", "'Plain'", "abstract = true", "discriminator_column")
        refused({ name = "E", extends = {} }, "'extends'", "an entity")
        refused({ name = "E", extends = 7 }, "'extends'")
        refused({ name = "E", extends = orm.embeddable { name = "V", { "x", type = "text" } } }, "'extends'")
        refused({ name = "E", abstract = "yes", id }, "'abstract'")
        refused({ name = "E", abstract = true, table = "es", id }, "'table'", "abstract")
        refused({ name = "E", extends = Base, discriminator_value = "e" }, "'discriminator_value'",
            "discriminator_column")
        refused({ name = "E", extends = define { name = "Keyless", abstract = true, { "x", type = "text" } } },
            "no primary key")
        refused({ name = "E", extends = Base, uniques = { { "ide" } } }, "'E'", "'ide'", "'id'")
        refused({ name = "E", extends = Base, indexes = { { "id", where = { ix = 1 } } } }, "'E'", "'ix'")
        refused({ name = "E", extends = Base, { "n", type = "integer", version = true },
            { "m", type = "integer", version = true } }, "'n'")
    end)

    it("contract 1: an abstract entity has no instances", function()
        local Base = define { name = "Base", abstract = true, id }
        local err = raises("metadata", function() Base {} end, "'Base'", "abstract")
        assert.equal("Base", err.entity)
        raises("metadata", function() Base { id = 1 } end)
    end)

    it("contract 1: one that extends by name knows what it inherits when a context has found it", function()
        local User = define { name = "User", extends = "Base", { "email", type = "string" },
            uniques = { { "email", "x" } } }
        raises("metadata", function() User {} end, "'User'", "'Base'", "orm.init")
    end)
end)

databases.each(function(db)
    describe("abstract base entities in a context", function()
        local log, Base, Post, Note, Author

        before_each(function()
            log = {}
            local function note(what) return function(e) log[#log + 1] = what .. ":" .. tostring(e.title) end end
            Base = define { name = "Base", abstract = true, id,
                { "created_at", type = "timestamp", on_create = function() return 1000 end },
                { "title", type = "string" },
                { "author", many_to_one = "Author", nullable = true },
                { "version", type = "integer", version = true },
                hooks = { before_create = note "base", before_update = function(e) e.title = e.title .. "!" end },
                uniques = { { "author", "title" } }, indexes = { { "created_at desc" } }, checks = { "title <> ''" },
                repository = { titled = function(self, title) return self:find { title = title } end,
                    which = function() return "base" end },
            }
            Post = define { name = "Post", extends = Base, { "body", type = "text", nullable = true },
                hooks = { before_create = note "post" }, repository = { which = function() return "post" end } }
            Note = define { name = "Note", extends = Base, table = "notes" }
            Author = define { name = "Author", id, { "name", type = "string" } }
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function init(entities, overrides)
            local config = db:config { entities = entities }
            for key, value in pairs(overrides or {}) do config[key] = value end
            local instance = orm.init(config)
            instance.schema:create()
            return orm.em(config.context_name), instance
        end

        it("I1, U1, F2: each entity has a table of its own with everything that it inherits", function()
            local em = init { Base, Post, Note, Author }
            local ann = em:create(Author, { name = "Ann" })
            local post = em:create(Post, { title = "a", body = "text", author = ann })
            local other = em:create(Note, { title = "a", author = ann })
            em:persist(post, other):flush()
            assert.same({ "base:a", "post:a", "base:a" }, log)
            assert.equal(1000, post.created_at)
            local raw = db:raw()
            assert.same({ { "1", "a", "text", "1" } }, raw:rows "select id, title, body, version from post")
            assert.same({ { "1", "a", "1" } }, raw:rows "select id, title, version from notes")
            em:clear()
            local again = em:find_one(Post, 1)
            assert.equal("Ann", em:find_one(Author, 1).name)
            assert.equal(again.author, em:find_one(Author, 1))
            again.title = "b"
            em:flush()
            assert.same({ { "b!", "2" } }, raw:rows "select title, version from post")
            assert.is_nil(em:find_one(Note, { title = "b!" }))
            assert.equal(again, orm.repository(Post):titled("b!")[1])
            assert.equal("post", orm.repository(Post).which())
            assert.equal("base", orm.repository(Note).which())
        end)

        it("O1: constraints of a base hold in each table", function()
            local em, instance = init { Post, Note, Author }
            local ann = em:create(Author, { name = "Ann" })
            em:persist(em:create(Post, { title = "a", author = ann }), em:create(Note, { title = "a", author = ann }))
            em:flush()
            em:persist(em:create(Post, { title = "a", author = ann }))
            local err = raises("unique_violation", function() em:flush() end)
            assert.equal("Post", err.entity)
            em:clear()
            em:persist(em:create(Note, { title = "" }))
            raises("check_violation", function() em:flush() end)
            local count = 0
            for _, statement in ipairs(instance.schema:create_sql()) do
                if statement:find("created_at", 1, true) and statement:find "^CREATE INDEX" then count = count + 1 end
            end
            assert.equal(2, count)
        end)

        it("contract 1: an abstract entity cannot be found, made, referred to or counted", function()
            local em = init { Base, Post, Author }
            for _, entity in ipairs { Base, "Base" } do
                for _, call in ipairs {
                    function() em:find(entity, {}) end, function() em:create(entity, { title = "x" }) end,
                    function() em:find_one(entity, 1) end, function() em:count(entity, {}) end,
                    function() em:get_reference(entity, 1) end, function() em:insert(entity, {}) end,
                    function() em:update_where(entity, { id = 1 }, { title = "x" }) end,
                    function() em:delete_where(entity, { id = 1 }) end, function() em:repository(entity) end,
                } do
                    local err = raises("metadata", call, "'Base'", "abstract")
                    assert.equal("Base", err.entity)
                    assert.equal("default", err.context)
                end
            end
            raises("entity_not_registered", function() em:find("Bas", {}) end, "'Bas'")
        end)

        it("contract 1: an abstract entity alone, or as a relation's target, is refused", function()
            raises("metadata", function() orm.init(db:config { entities = { Base, Author } }) end, "'Base'", "abstract")
            local Link = define { name = "Link", id, { "to", many_to_one = "Base" } }
            raises("metadata", function() orm.init(db:config { entities = { Link, Base, Post, Author } }) end, "'Link'",
                "'to'", "abstract")
            init { Post, Author }
            raises("metadata", function() orm.register { define { name = "Lone", abstract = true, id } } end, "'Lone'")
            orm.register { Base, Note }
            assert.equal(0, orm.em():count(Post, {}))
        end)

        it("C4: one base serves several contexts", function()
            local em = init { Base, Post, Author }
            local second = init({ Base, Note, Author }, { context_name = "second" })
            em:persist_and_flush(em:create(Post, { title = "p" }))
            second:persist_and_flush(second:create(Note, { title = "n" }))
            assert.equal(1, em:count(Post, {}))
            assert.equal(1, second:count(Note, {}))
            raises("entity_not_registered", function() em:find(Note, {}) end, "'second'")
            raises("wrong_context", function() em:persist(second:find_one(Note, 1)) end)
        end)

        it("contract 1: the base may be given by name, in any order, and is found once", function()
            local Leaf = define { name = "Leaf", extends = "Twig", { "leaf", type = "string" },
                uniques = { { "leaf", "twig" } } }
            local Twig = define { name = "Twig", abstract = true, extends = "Wood", { "twig", type = "string" } }
            local Wood = define { name = "Wood", abstract = true, id, { "wood", type = "string" },
                hooks = { before_create = function(e) e.wood = "oak" end } }
            function Leaf.shape() return "leaf" end
            function Wood:is_oak() return self.wood == "oak" end
            local em = init { Leaf, Twig, Wood }
            assert.equal("id wood twig leaf", names_of(Leaf))
            local leaf = em:create(Leaf, { twig = "t", leaf = "l" })
            em:persist_and_flush(leaf)
            assert.is_true(leaf:is_oak())
            assert.same({ { "1", "oak", "t", "l" } }, db:raw():rows "select id, wood, twig, leaf from leaf")
            assert.equal("id wood twig leaf", names_of(Leaf))
            orm.close()
            local again = init { Wood, Twig, Leaf }
            assert.equal(0, again:count(Leaf, {}))
            -- A context without the base's name takes what is known; one with another entity of that name cannot.
            init({ Leaf }, { context_name = "third" })
            local Other = define { name = "Twig", abstract = true, id, { "other", type = "string" } }
            raises("metadata", function()
                orm.init(db:config { context_name = "fourth", entities = { Leaf, Other } })
            end, "'Leaf'", "'Twig'")
        end)

        it("contract 1: a name that nobody has, or that leads in a circle, is refused and leaves nothing", function()
            local Lost = define { name = "Lost", extends = "Bse", id }
            raises("metadata", function() orm.init(db:config { entities = { Lost, Base, Post, Author } }) end, "'Lost'",
                "'Bse'", "'Base'")
            local A = define { name = "A", extends = "B", abstract = true, id }
            local B = define { name = "B", extends = "A", abstract = true }
            raises("metadata", function() orm.init(db:config { entities = { A, B } }) end, "extends itself")
            -- A definition that could not be completed is what it was, and says so again.
            local Bad = define { name = "Bad", extends = "Plain", { "x", type = "text" } }
            local Plain = define { name = "Plain", id }
            for _ = 1, 2 do
                raises("metadata", function() orm.init(db:config { entities = { Bad, Plain } }) end, "'Bad'", "'Plain'")
            end
            assert.equal("x", names_of(Bad))
        end)

        it("I3, U2: a redefinition counts in each entity alone", function()
            local Wide = define { name = "Wide", extends = Base,
                { "title", type = "string", nullable = true, hidden = true } }
            local em = init { Wide, Note, Author }
            local wide = em:create(Wide, { title = "secret" })
            em:persist_and_flush(wide)
            assert.is_nil(rawget(wide, "title"))
            assert.equal("secret", wide.title)
            wide.title = nil
            local ok = pcall(em.flush, em) -- the base's before_update needs a title
            assert.is_false(ok)
            em:clear()
            em:persist(em:create(Note, {}))
            local err = raises("validation", function() em:flush() end, "Note.title", "required")
            assert.equal("title", err.property)
        end)
    end)
end)
