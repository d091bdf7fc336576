-- Faults that were found in filters and the query builder, each as small as it can be.
local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local fn, op = orm.fn, orm.op

databases.each(function(db)
    local em, Node, Group, Comic

    local function define()
        Group = orm.entity { name = "Group", table = "groups",
            { "id",    type = "integer", primary = true },
            { "nodes", one_to_many = "Node", mapped_by = "group" } }
        Node = orm.entity { name = "Node", table = "nodes", discriminator_column = "kind",
            { "id",    type = "integer", primary = true },
            { "name",  type = "string" },
            { "group", many_to_one = "Group", nullable = true } }
        Comic = orm.entity { name = "Comic", extends = Node }
    end

    before_each(function()
        define()
        orm.init(db:config { entities = { Group, Node, Comic } })
        orm.instance().schema:create()
        em = orm.em():fork()
        local group = em:create(Group, {})
        em:persist(em:create(Comic, { name = "a", group = group }), em:create(Node, { name = "b", group = group }),
            em:create(Comic, { name = "c", group = group }), em:create(Comic, { name = "d" })):flush()
        em:clear()
    end)

    after_each(function()
        orm.close()
        db:close()
    end)

    local function names()
        local list = {}
        for i, row in ipairs(db:raw():rows "select name from nodes order by id") do list[i] = row[1] end
        return table.concat(list, " ")
    end

    local longer = { name = op.raw "name || 'x'" }

    describe("an UPDATE whose condition reads the table that it writes", function()
        it("looks at rows as they were before: update_where over a collection", function()
            assert.equal(3, em:update_where(Node, { group = { nodes = op.some { name = "a" } } }, longer))
            assert.equal("ax bx cx d", names())
            assert.equal(2, em:update_where(Comic, { group = { nodes = op.some { name = "ax" } } }, longer))
            assert.equal("axx bx cxx d", names())
        end)

        it("looks at rows as they were before: a sub-query, a query builder, SQL of the program's own", function()
            local first = em:query(Node, "f"):where { name = "a", group = op.ref "n.group" }
            assert.equal(3, em:query(Node, "n"):update(longer):where(op.some(first)):count())
            assert.equal("ax bx cx d", names())
            local grouped = op.raw("{alias}.group_id in (select f.group_id from nodes as f where f.name = ? "
                .. "and f.group_id = {alias}.group_id)", "ax")
            assert.equal(3, em:update_where(Node, grouped, longer))
            assert.equal("axx bxx cxx d", names())
        end)
    end)

    describe("what SQLite keeps as text", function()
        local Thing

        before_each(function()
            Thing = orm.entity { name = "Thing", table = "things",
                { "id",    type = "integer", primary = true },
                { "doc",   type = "json", nullable = true },
                { "list",  type = "array", array_of = "integer", nullable = true },
                { "thing", many_to_one = "Thing", nullable = true } }
            orm.init(db:config { context_name = "things", entities = { Thing } })
            orm.instance("things").schema:create()
            em = orm.em("things"):fork()
            em:insert_many(Thing, { { doc = { a = 1, b = 2 }, list = { 9 } }, { list = { 10 } } })
            -- By another program: other keys first.
            db:raw():exec [[insert into things (id, doc) values (7, '{ "b": 2.0, "a": 1 }')]]
        end)

        it("arrays and documents are no order, whoever asks", function()
            for _, name in ipairs { "doc", "list desc", "thing.list" } do
                local orders = { order_by = { name, "id" } }
                for _, read in ipairs {
                    function() em:find(Thing, {}, orders) end,
                    function() em:find_by_cursor(Thing, {}, { order_by = orders.order_by, first = 1 }) end,
                    function() em:query(Thing, "t"):order_by(name):all() end,
                    function() em:query(Thing, "t"):select { "id", x = "list" }:order_by("x"):rows() end,
                    function()
                        local lists = em:query(Thing):select("list")
                        lists:clone():union(lists):order_by("list"):rows()
                    end,
                } do
                    expect.raises("validation", read, "has no order")
                end
            end
        end)

        it("U4: what means SQL is no part of a document: in filters, in data, in instances", function()
            local thing = em:find_one(Thing, 1)
            for _, sql in ipairs { op.ref "id", op.eq(1), orm.raw "1", fn.count(), em:query(Thing) } do
                for _, use in ipairs {
                    function() em:find(Thing, { doc = { a = sql } }) end,
                    function() em:find(Thing, { doc = op.contains { a = { sql } } }) end,
                    function() em:find(Thing, { doc = op.json("a", { b = sql }) }) end,
                    function() em:update_where(Thing, { id = 1 }, { doc = { a = sql } }) end,
                    function() em:insert(Thing, { doc = { a = sql } }) end,
                    function()
                        thing.doc = { a = sql }
                        em:flush()
                    end,
                } do
                    expect.raises("validation", use, "is no value")
                end
            end
            expect.raises("validation", function() em:find(Thing, { doc = op.json("a", op.ref "id") }) end, "Thing.doc")
            em:clear()
            assert.same({ a = 1, b = 2 }, em:find_one(Thing, 1).doc)
        end)

        it("documents that are equal are one group and one value", function()
            assert.same({ { n = 2, different = 1 } }, em:query(Thing, "t")
                :select { n = fn.count(), different = fn.count_distinct "doc" }:where { doc = op.not_null() }:rows())
            assert.same({ { n = 2 } }, em:query(Thing, "t"):select { n = fn.count() }:where { doc = op.not_null() }
                :group_by("doc"):rows())
        end)
    end)

    it("Q1: a name that is no string is called so", function()
        expect.raises("unknown_property", function() em:find(Node, {}, { group_by = { "id", orm.raw "1" } }) end,
            "names are strings, not a table")
    end)

    it("find and its kin give one value, which can end a list of arguments", function()
        assert.equal(1, select("#", em:find(Node, {})))
        assert.equal(1, select("#", em:find_all(Node)))
        assert.equal(1, select("#", em:find_one(Group, 1).nodes:matching({})))
    end)
end)
