-- Indexes and unique keys over expressions, with an order of NULLs and further columns: in the entity, the database,
-- and in the errors that they raise.

local databases = require "spec.support.databases"
local entity = require "heddle.entity"
local errors = require "heddle.errors"
local orm = require "heddle"
local plans = require "spec.support.plans"
local schema_sql = require "heddle.schema.sql"

local function item(definition)
    definition.name = "Item"
    for i, property in ipairs { { "id", type = "integer", primary = true }, { "email", type = "string" },
        { "rank", type = "integer", nullable = true } } do
        definition[i] = property
    end
    return entity.entity(definition)
end

local function statements(definition, driver)
    local found = {}
    for _, text in ipairs(schema_sql.create({ plans.mappings(driver, { item(definition) }).Item }, driver)) do
        found[#found + 1] = text:match("^CREATE.-INDEX.*")
    end
    return found
end

local function refused(words, definition)
    local ok, err = pcall(item, definition)
    assert.is_false(ok)
    assert.is_true(errors.is_error(err, "metadata"), tostring(err))
    assert.truthy(err.message:find(words, 1, true), err.message)
end

describe("an index over an expression", function()
    it("is a part among others, or alone, descending and with its place of NULLs", function()
        assert.same({
            'CREATE INDEX "item_lower_email_rank_index" ON "item" ((lower(email)) DESC, "rank" NULLS FIRST)',
            'CREATE INDEX "item_rank_1_index" ON "item" ((rank + 1))',
        }, statements({ indexes = { { { expression = "lower(email)", desc = true }, "rank asc nulls first" },
            { expression = "rank + 1" } } }, "postgres"))
    end)

    it("leaves out on SQLite what it has not", function()
        assert.same({ 'CREATE INDEX "i" ON "item" ("rank" DESC)' }, statements({ indexes = { { { "rank", desc = true,
            nulls = "last" }, name = "i", include = { "email" }, method = "gin" } } }, "sqlite"))
        assert.same({ 'CREATE INDEX "i" ON "item" USING gin ("rank" DESC NULLS LAST) INCLUDE ("email")' },
            statements({ indexes = { { { "rank", desc = true, nulls = "last" }, name = "i", include = { "email" },
                method = "gin" } } }, "postgres"))
    end)

    it("makes a unique key an index, of which the unit of work knows nothing", function()
        local definition = { uniques = { { { expression = "lower(email)" }, "rank", where = "rank > 0" },
            { expression = "rank * 2", name = "twice" } } }
        assert.same({
            'CREATE UNIQUE INDEX "item_lower_email_rank_unique" ON "item" ((lower(email)), "rank") WHERE rank > 0',
            'CREATE UNIQUE INDEX "twice" ON "item" ((rank * 2))',
        }, statements(definition, "sqlite"))
        assert.same({}, plans.mappings("sqlite", { item(definition) }).Item.uniques)
    end)

    it("is refused when it says nothing or too much", function()
        refused("indexes, item 1", { indexes = { {} } })
        refused("a part is", { indexes = { { { "email", expression = "lower(email)" } } } })
        refused("a part is", { indexes = { { { desc = true } } } })
        refused("unknown option 'expresion' (did you mean 'expression'?)", { indexes = { { { expresion = "x" } } } })
        refused("stands alone", { indexes = { { "email", expression = "lower(email)" } } })
        refused("did you mean 'email'", { indexes = { { { "emial" } } } })
        refused("did you mean 'email'", { indexes = { { "rank", include = { "emial" } } } })
        refused("nulls first", { indexes = { { "rank nulls middle" } } })
        refused("did you mean 'rank'", { uniques = { { { expression = "1" }, "rnk" } } })
    end)

    databases.each(function(db)
        local instance

        after_each(function()
            orm.close()
            db:close()
        end)

        it("M1: is there after create, and names the property that it is about", function()
            local Item = item { uniques = { { { expression = "lower(email)" } } },
                indexes = { { "rank desc nulls last", { expression = "length(email)" }, include = { "email" } } } }
            instance = orm.init(db:config { entities = { Item } })
            instance.schema:create()
            local em = instance.em:fork()
            em:insert(Item, { email = "Ann@x" })
            local ok, err = pcall(em.insert, em, Item, { email = "aNN@x" })
            assert.is_false(ok)
            assert.is_true(errors.is_error(err, "unique_violation"), tostring(err))
            assert.same({ "Item", "email", "item_lower_email_unique" }, { err.entity, err.property, err.constraint })
            assert.equal("1", db:raw():value "select count(*) from item")
            em:create(Item, { email = "Bob" })
            em:persist_and_flush(Item { email = "Cy" })
            assert.equal("2", db:raw():value "select count(*) from item")
        end)
    end)
end)
