-- Embedded values of entities that share a table, or extend an abstract one.

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local Size = orm.embeddable { name = "Size", { "width", type = "integer" },
    { "unit", type = "string", default = "cm" } }
local Base = orm.entity { name = "Base", abstract = true, { "id", type = "integer", primary = true },
    { "created", embedded = Size, nullable = true } }
local Item = orm.entity { name = "Item", table = "items", extends = Base, discriminator_column = "kind",
    discriminator_value = "item", { "name", type = "string" }, { "size", embedded = Size } }
local Book = orm.entity { name = "Book", extends = Item, discriminator_value = "book",
    { "spine", embedded = Size }, { "cover", embedded = Size, object = true, nullable = true } }
local Film = orm.entity { name = "Film", extends = Item, discriminator_value = "film",
    { "screen", embedded = Size, nullable = true, prefix = "s_" } }
local Shelf = orm.entity { name = "Shelf", table = "shelves", extends = Base, { "depth", embedded = Size } }

databases.each(function(db)
    local work, em, raw

    before_each(function()
        work = unit.open(db, { Item, Book, Film, Shelf })
        em, raw = work.em, work.raw
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    it("U3, U1: each entity has its own values; those of others are NULL in its rows", function()
        local item = em:create(Item, { name = "i", size = { width = 1 }, created = { width = 9 } })
        local book = em:create(Book, { name = "b", size = { width = 2 }, spine = { width = 3 }, cover = { width = 4 } })
        local film = em:create(Film, { name = "f", size = { width = 5 }, screen = { width = 6, unit = "in" } })
        local shelf = em:create(Shelf, { depth = { width = 7 } })
        em:persist(item, book, film, shelf):flush()
        assert.same({ { "1", false, false, "9" }, { "2", "3", false, false }, { "5", false, "6", false } },
            raw:rows "select size_width, spine_width, s_width, created_width from items order by id")
        assert.same({ { "7", false } }, raw:rows "select depth_width, created_width from shelves")
        em:clear()
        local list = em:find(Item, {}, { order_by = { "id" } })
        assert.same({ width = 2, unit = "cm" }, list[2].size)
        assert.same({ width = 3, unit = "cm" }, list[2].spine)
        assert.same({ width = 4, unit = "cm" }, list[2].cover)
        assert.same({ width = 6, unit = "in" }, list[3].screen)
        assert.is_nil(rawget(list[1], "spine"))
        assert.is_nil(rawget(list[1], "screen"))
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
        list[2].spine.width, list[2].cover.width, list[3].screen = 30, 40, nil
        em:flush()
        assert.same({ { false, false }, { "30", false }, { false, false } },
            raw:rows "select spine_width, s_width from items order by id")
        assert.equal(40, em:fork():find_one(Book, list[2].id).cover.width)
    end)

    it("U4: what an entity needs is required of its rows alone", function()
        local err = unit.raises("validation", em.persist_and_flush, em,
            em:create(Book, { name = "b", size = { width = 2 } }))
        assert.equal("spine", err.property)
        assert.equal("Book", err.entity)
        em:clear()
        em:persist_and_flush(em:create(Item, { name = "b", size = { width = 2 } }))
    end)

    it("Q1: filters, orders and data by members of each entity", function()
        em:persist(em:create(Book, { name = "a", size = { width = 2 }, spine = { width = 3 }, cover = { width = 4 } }),
            em:create(Book, { name = "b", size = { width = 1 }, spine = { width = 30 } }),
            em:create(Film, { name = "f", size = { width = 0 } })):flush()
        assert.equal("b", em:find(Book, { spine = { width = orm.op.gt(5) } })[1].name)
        assert.equal("a", em:find(Book, { cover = { width = 4 } })[1].name)
        assert.equal("f", em:find(Item, {}, { order_by = { "size.width" } })[1].name)
        unit.raises("unknown_property", em.find, em, Film, { spine = { width = 1 } })
        assert.equal(1, em:update_where(Book, { name = "a" }, { spine = { width = 5 }, cover = { width = 6 } }))
        local book = em:fork():find_one(Book, { name = "a" })
        assert.same({ 5, 6 }, { book.spine.width, book.cover.width })
    end)

    it("I1: a reference to the root turns out to be a child with its values", function()
        local id = em:insert(Book, { name = "a", size = { width = 2 }, spine = { width = 3 } })
        em:clear()
        local e = em:get_reference(Item, id)
        em:refresh(e)
        assert.equal(3, e.spine.width)
        local plain = em:find(Item, {}, { managed = false })[1]
        assert.equal(3, plain.spine.width)
        assert.is_nil(plain.screen)
    end)
end)
