-- A custom type's `equals` that does not take what the program has put into an embedded value.

local databases = require "spec.support.databases"
local orm = require "heddle"

local Label = {}
local function text(value) return setmetatable({ text = value }, Label) end

local label = orm.type {
    column = "text",
    to_db = function(value) return tostring(value.text) end,
    from_db = text,
    equals = function(a, b) return a.text:lower() == b.text:lower() end, -- raises for a number
}
local Box = orm.embeddable { name = "Box", { "label", type = label }, { "size", type = "integer" } }
local Item = orm.entity { name = "Item",
    { "id", type = "integer", primary = true },
    { "inner", embedded = Box },
    { "outer", embedded = Box, object = true },
    { "list", embedded = Box, array = true },
}

databases.each(function(db)
    it("U7: equals in embedded values", function()
        orm.init(db:config { entities = { Item } }).schema:create()
        local em = orm.em():fork()
        local item = em:create(Item, { inner = { label = text(5), size = 1 }, outer = { label = text(6), size = 1 },
            list = { { label = text(7), size = 1 } } })
        em:persist_and_flush(item)
        local function labels()
            local read = em:fork():find_one(Item, item.id)
            return { read.inner.label.text, read.outer.label.text, read.list[1].label.text }
        end
        assert.same({ "5", "6", "7" }, labels())
        assert.same({}, em:changes())
        assert.same({ "5", "6", "7" }, { item.inner.label.text, item.outer.label.text, item.list[1].label.text })
        item.inner.label, item.outer.label, item.list[1].label = text(8), { text = 9 }, { text = 10 }
        assert.equal(1, #em:changes())
        em:flush()
        assert.same({ "8", "9", "10" }, labels())
        assert.same({}, em:changes())
        orm.close()
        db:close()
    end)
end)
