-- orm.to_table: plain nested data of what is loaded, and nothing that should not leave.

local cjson = require "cjson"
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

local Money = {}
Money.__index = Money
local money = orm.type {
    column = "integer",
    to_db = function(value) return value.cents end,
    from_db = function(value) return setmetatable({ cents = value }, Money) end,
}
local Geo = orm.embeddable { name = "Geo", { "lat", type = "double" } }
local Address = orm.embeddable {
    name = "Address",
    { "city", type = "string" },
    { "zip", type = "string", nullable = true },
    { "geo", embedded = Geo, nullable = true },
}
function Address:label() return self.city end

local Author = orm.entity {
    name = "Author",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "password", type = "string", hidden = true, nullable = true },
    { "bio", type = "text", nullable = true, lazy = true },
    { "born", type = "integer", nullable = true },
    { "label", type = "string", persist = false },
    { "fee", type = money, nullable = true },
    { "notes", type = "json", nullable = true },
    { "words", type = "array", array_of = "string", nullable = true },
    { "home", embedded = Address, nullable = true },
    { "places", embedded = Address, array = true, nullable = true },
    { "friend", many_to_one = "Author", nullable = true },
    { "books", one_to_many = "Book", mapped_by = "author" },
    { "profile", one_to_one = "Profile", mapped_by = "author" },
    hooks = { on_load = function(author) author.label = "<" .. author.name .. ">" end },
}
local Book = orm.entity {
    name = "Book",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "isbn", type = "string", nullable = true },
    { "author", many_to_one = Author, nullable = true },
    { "tags", many_to_many = "Tag" },
}
local Tag = orm.entity {
    name = "Tag",
    { "realm", type = "string", length = 10, primary = true },
    { "name", type = "string", length = 20, primary = true },
    { "books", many_to_many = Book, mapped_by = "tags" },
}
local Profile = orm.entity {
    name = "Profile",
    { "author", one_to_one = Author, owner = true, primary = true },
    { "motto", type = "string" },
}

databases.each(function(db)
    describe("orm.to_table", function()
        local instance, em

        before_each(function()
            instance = orm.init(db:config { entities = { Author, Book, Tag, Profile } })
            instance.schema:create()
            em = orm.em():fork()
            local ann = em:create(Author, {
                id = 1, name = "Ann", password = "s3cret", bio = "long", born = 1970,
                fee = setmetatable({ cents = 5 }, Money), words = { "x", "y" },
                notes = { a = { 1, orm.null, {} }, list = orm.array {} },
                home = { city = "Bonn", geo = { lat = 1.5 } },
                places = { { city = "Rome" }, { city = "Oslo", geo = { lat = 2 } } },
            })
            local ben = em:create(Author, { id = 2, name = "Ben", friend = ann })
            ann.friend = ben
            local lua, c = em:create(Tag, { realm = "l", name = "lua" }), em:create(Tag, { realm = "l", name = "c" })
            em:persist(em:create(Book, { id = 1, title = "One", isbn = "1", author = ann, tags = { lua, c } }), ben)
            em:persist(em:create(Book, { id = 2, title = "Two", author = ann, tags = { lua } }))
            em:persist(em:create(Profile, { author = ann, motto = "on" }))
            em:flush()
            em:clear()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        it("gives what is loaded: nothing hidden or lazy, relations as keys, computed values", function()
            local ann = em:find_one(Author, { name = "Ann" })
            local got = orm.to_table(ann)
            assert.is_nil(getmetatable(got))
            assert.same({
                id = 1, name = "Ann", born = 1970, label = "<Ann>", fee = 5, friend = 2,
                notes = { a = { 1, orm.null, {} }, list = {} }, words = { "x", "y" },
                home = { city = "Bonn", geo = { lat = 1.5 } },
                places = { { city = "Rome" }, { city = "Oslo", geo = { lat = 2 } } },
            }, got)
            assert.is_nil(getmetatable(got.home))
            got.notes.a[1] = 9
            got.home.city = "Rome"
            assert.same({ 1, "Bonn" }, { ann.notes.a[1], ann.home.city })
        end)

        it("no reference is made and nothing is sent, whatever it is asked for", function()
            local sent = expect.statements(instance)
            local ann = em:find_one(Author, { name = "Ann" })
            local before = tostring(em)
            assert.same(1, #sent)
            assert.same(2, orm.to_table(ann).friend)
            local got = orm.to_table(ann, { populate = { "books.tags", "profile", "friend" } })
            assert.same({ nil, nil, 2 }, { got.books, got.profile, got.friend })
            assert.same(1, #sent)
            assert.truthy(before)
        end)

        it("populate gives loaded relations in full, cycles cut to keys", function()
            local ann = em:find_one(Author, { name = "Ann" }, { populate = { "books.tags", "profile", "friend" } })
            local got = orm.to_table(ann, { populate = { "books.author", "books.tags", "profile", "friend.friend" },
                fields = { "name" } })
            assert.same({
                name = "Ann", profile = { author = 1, motto = "on" },
                friend = { id = 2, name = "Ben", label = "<Ben>", friend = 1 },
                books = {
                    { id = 1, title = "One", isbn = "1", author = 1,
                        tags = { { realm = "l", name = "c" }, { realm = "l", name = "lua" } } },
                    { id = 2, title = "Two", author = 1, tags = { { realm = "l", name = "lua" } } },
                },
            }, got)
            local tag = ann.books[1].tags[1]
            assert.same({ realm = "l", name = "c" }, orm.to_table(tag))
        end)

        it("without populate a loaded collection is a list of keys, composite ones as lists", function()
            local ann = em:find_one(Author, { name = "Ann" }, { populate = { "books.tags", "profile" } })
            assert.same({ 1, 2 }, orm.to_table(ann).books)
            assert.same(1, orm.to_table(ann).profile)
            assert.same({ { "l", "c" }, { "l", "lua" } }, orm.to_table(ann.books[1]).tags)
        end)

        it("populate = true follows everything that is loaded, '*' one level", function()
            local ann = em:find_one(Author, { name = "Ann" }, { populate = { "books.tags", "friend" } })
            local all = orm.to_table(ann, { populate = true })
            assert.same("lua", all.books[1].tags[2].name)
            assert.same(1, all.friend.friend)
            local one = orm.to_table(ann, { populate = { "*" } })
            assert.same({ "l", "lua" }, one.books[1].tags[2])
            assert.same("Ben", one.friend.name)
        end)

        it("fields and exclude cut at every depth, embedded members too", function()
            local ann = em:find_one(Author, { name = "Ann" }, { populate = { "books.tags" } })
            assert.same({ id = 1, books = { { title = "One" }, { title = "Two" } }, home = { city = "Bonn" } },
                orm.to_table(ann, { fields = { "id", "books.title", "home.city" } }))
            local got = orm.to_table(ann, { populate = { "books" }, exclude = { "books.isbn", "books.tags", "notes",
                "words", "home.geo", "places", "label", "fee", "friend" } })
            assert.same({ id = 1, name = "Ann", born = 1970, home = { city = "Bonn" },
                books = { { id = 1, title = "One", author = 1 }, { id = 2, title = "Two", author = 1 } } }, got)
        end)

        it("nulls = true says NULL where it is known to be one", function()
            local ben = em:find_one(Author, { name = "Ben" }, { fields = { "name", "born" } })
            local got = orm.to_table(ben, { nulls = true })
            assert.same({ id = 2, name = "Ben", born = orm.null, label = "<Ben>" }, got)
            assert.same(cjson.null, got.born)
            assert.is_nil(orm.to_table(ben).born)
        end)

        it("takes lists, collections, new and unmanaged instances; what it gives is what cjson takes", function()
            local list = em:find_all(Author, { populate = { "books" }, order_by = { "id" } })
            local got = orm.to_table(list, { populate = { "books" }, fields = { "name" } })
            assert.same({ { name = "Ann", books = { { id = 1, title = "One", isbn = "1", author = 1 },
                { id = 2, title = "Two", author = 1 } } }, { name = "Ben", books = {} } }, got)
            assert.same(got[1].books, orm.to_table(list[1].books))
            assert.same({}, orm.to_table {})
            local plain = em:find(Author, { name = "Ann" }, { managed = false, populate = { "books", "friend" } })[1]
            local all = orm.to_table(plain, { populate = { "books", "friend" } })
            assert.same({ "One", "Ben", 1 }, { all.books[1].title, all.friend.name, all.friend.friend })
            assert.same(2, orm.to_table(em:find(Author, { name = "Ann" }, { managed = false })[1]).friend)
            local new = Author { name = "New", friend = Author { name = "Other" } }
            assert.same({ name = "New", books = {} }, orm.to_table(new))
            assert.same({ name = "Other", books = {} }, orm.to_table(new, { populate = { "friend" } }).friend)
            local text = cjson.encode(orm.to_table(list, { populate = true }))
            assert.same("Ann", cjson.decode(text)[1].name)
            assert.is_nil(text:find("s3cret", 1, true))
        end)

        it("what JSON has no word for does not stop the encoder", function()
            local e = Author { name = "x", notes = { inf = math.huge, nan = 0 / 0, list = { 1, 0 / 0, 2 } } }
            assert.same({ list = { 1, orm.null, 2 } }, orm.to_table(e).notes)
            assert.is_string(cjson.encode(orm.to_table(e)))
            local loop = {}
            loop[1] = loop
            e.notes = { loop }
            raises("validation", function() orm.to_table(e) end, "holds itself")
        end)

        it("works when the entity manager is gone, and on references", function()
            local fork = orm.em():fork()
            local ann = fork:find_one(Author, { name = "Ann" })
            fork:clear()
            assert.same({ 1, 2 }, { orm.to_table(ann).id, orm.to_table(ann).friend })
            assert.same({ id = 9 }, orm.to_table(em:get_reference(Author, 9)))
        end)

        it("refuses what is no instance, and unknown names", function()
            local ann = em:find_one(Author, { name = "Ann" })
            for _, value in ipairs { 7, "x", true, { a = 1 }, { ann, 7 }, Author, em } do
                raises("validation", function() orm.to_table(value) end)
            end
            raises("validation", function() orm.to_table(nil) end)
            raises("unknown_property", function() orm.to_table(ann, { populate = { "boks" } }) end, "books")
            raises("unknown_property", function() orm.to_table(ann, { fields = { "nmae" } }) end, "name")
            raises("unknown_property", function() orm.to_table(ann, { exclude = { "bornn" } }) end, "born")
            raises("unknown_property", function() orm.to_table(ann, { exclude = { "home.ctiy" } }) end, "city")
            raises("unknown_property", function() orm.to_table(ann, { populat = true }) end, "populate")
            raises("validation", function() orm.to_table(ann, { populate = { "name" } }) end, "no relation")
            raises("validation", function() orm.to_table(ann, { fields = { name = true } }) end, "list of names")
            raises("validation", function() orm.to_table(ann, { fields = { 1 } }) end)
            raises("validation", function() orm.to_table(ann, { nulls = 1 }) end)
            raises("not_loaded", function() orm.to_table(ann.books) end)
        end)
    end)
end)
