-- Collections that were read in part: they show some members, and what is written knows of all. What a condition hid is
-- never lost, and never deleted by accident: looked up on the raw connection.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises, sent_by = expect.raises, expect.sent_by
local op = orm.op
local id = { "id", type = "integer", primary = true }

local Shop = orm.entity { name = "Shop", table = "shops", id, { "name", type = "string" },
    -- Its rows go with the shop and when they leave it.
    { "parts", one_to_many = "Part", mapped_by = "shop", cascade = { "persist", "remove" }, orphan_removal = true },
    -- Its rows stay without it.
    { "signs", one_to_many = "Sign", mapped_by = "shop" },
    { "tags", many_to_many = "Tag" },
    { "steps", many_to_many = "Step", fixed_order = true },
    { "people", many_to_many = "Person", pivot_entity = "Job" },
    { "card", one_to_one = "Card", mapped_by = "shop" },
}
local Part = orm.entity { name = "Part", table = "parts", id, { "name", type = "string" },
    { "shop", many_to_one = Shop } }
local Sign = orm.entity { name = "Sign", table = "signs", id, { "name", type = "string" },
    { "shop", many_to_one = Shop, nullable = true } }
local Tag = orm.entity { name = "Tag", table = "tags", id, { "name", type = "string" },
    { "shops", many_to_many = Shop, mapped_by = "tags" } }
local Step = orm.entity { name = "Step", table = "steps", id, { "name", type = "string" } }
local Person = orm.entity { name = "Person", table = "people", id, { "name", type = "string" } }
local Job = orm.entity { name = "Job", table = "jobs",
    { "shop", many_to_one = Shop, primary = true, on_delete = "cascade" },
    { "person", many_to_one = Person, primary = true, on_delete = "cascade" },
    { "pay", type = "integer", default = 1 } }
local Card = orm.entity { name = "Card", table = "cards", id, { "name", type = "string" },
    { "shop", one_to_one = Shop, inversed_by = "card", nullable = true } }

local rows = {
    "insert into shops (id, name) values (1, 's1'), (2, 's2')",
    "insert into parts (id, name, shop_id) values (1, 'a', 1), (2, 'b', 1), (3, 'c', 1), (4, 'd', 2)",
    "insert into signs (id, name, shop_id) values (1, 'a', 1), (2, 'b', 1), (3, 'c', 1), (4, 'd', null)",
    "insert into tags (id, name) values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
    "insert into shops_tags (shop_id, tag_id) values (1, 1), (1, 2), (1, 3), (2, 1)",
    "insert into steps (id, name) values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
    "insert into shops_steps (shop_id, step_id) values (1, 3), (1, 2), (1, 1)",
    "insert into people (id, name) values (1, 'a'), (2, 'b'), (3, 'c')",
    "insert into jobs (shop_id, person_id, pay) values (1, 1, 5), (1, 2, 6)",
    "insert into cards (id, name, shop_id) values (1, 'a', 1), (2, 'b', null)",
}

-- The many relations of a shop, with the SQL of what the database has of them.
local texts = {
    parts = "select name from parts where shop_id = %d order by id",
    signs = "select name from signs where shop_id = %d order by id",
    tags = "select t.name from shops_tags p join tags t on t.id = p.tag_id where p.shop_id = %d order by t.id",
    steps = "select s.name from shops_steps p join steps s on s.id = p.step_id where p.shop_id = %d order by p.id",
    people = "select p.name from jobs j join people p on p.id = j.person_id where j.shop_id = %d order by p.id",
}
local targets = { parts = Part, signs = Sign, tags = Tag, steps = Step, people = Person }
local kinds = { "parts", "signs", "tags", "steps", "people" }

local function names(list)
    local made = {}
    for i, e in ipairs(type(list) == "table" and list or list:items()) do made[i] = e.name end
    return table.concat(made, " ")
end

databases.each(function(db)
    describe("a collection read in part", function()
        local work, em, sent

        before_each(function()
            work = unit.open(db, { Shop, Part, Sign, Tag, Step, Person, Job, Card })
            for _, sql in ipairs(rows) do work.raw:exec(sql) end
            for _, name in ipairs { "parts", "signs" } do
                local sql = db.name == "sqlite" and "update sqlite_sequence set seq = 99 where name = '%s'"
                    or "alter table %s alter column id restart with 100"
                work.raw:exec(sql:format(name))
            end
            em = work.em
            sent = expect.statements(work.instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function stored(kind, shop)
            local list = {}
            for i, row in ipairs(work.raw:rows(texts[kind]:format(shop or 1))) do list[i] = row[1] end
            return table.concat(list, " ")
        end

        local all = { parts = "a b c", signs = "a b c", tags = "a b c", steps = "c b a", people = "a b" }

        -- The shop with one relation read so that only 'a' is there.
        local function shop_with(kind, own)
            return (own or em):find_one(Shop, 1, { populate = { [kind] = { where = { name = "a" } } } })
        end

        local function nothing_written()
            assert.same({}, (sent_by(sent, function() em:flush() end)))
        end

        it("shows what was found, in every way of reading", function()
            for _, kind in ipairs(kinds) do
                local own = em:fork()
                local shop = shop_with(kind, own)
                local list, shown = shop[kind], {}
                assert.is_true(list:is_initialized())
                assert.is_false(list:is_dirty())
                assert.equal("a", names(list))
                assert.equal(1, #list)
                assert.equal(1, list:count())
                assert.equal("a", list[1].name)
                assert.is_nil(list[2])
                for i, e in list:iter() do shown[i] = e.name end
                assert.same({ "a" }, shown)
                assert.is_true(list:contains(list[1]))
                assert.is_false(list:contains(em:fork():find_one(targets[kind], 2)))
                assert.equal(#all[kind]:gsub(" ", ""), list:load_count())
                assert.equal("b", names(list:matching { name = "b" }))
                assert.matches("1, in part", tostring(list), 1, true)
            end
            nothing_written()
        end)

        it("hides nothing from the database: a flush after a look writes nothing", function()
            for _, kind in ipairs(kinds) do shop_with(kind) end
            nothing_written()
            em:find_one(Shop, 1).name = "renamed"
            em:flush()
            for _, kind in ipairs(kinds) do assert.equal(all[kind], stored(kind)) end
        end)

        it("add and remove write what they say, and leave hidden members alone", function()
            local expected = {
                parts = "b c n", signs = "b c n", tags = "b c d", steps = "c b d", people = "b c",
            }
            for _, kind in ipairs(kinds) do
                local shop = shop_with(kind)
                local fresh = kind == "parts" and Part { name = "n" } or kind == "signs" and Sign { name = "n" }
                    or em:find_one(targets[kind], kind == "people" and 3 or 4)
                shop[kind]:add(fresh)
                assert.equal("a " .. fresh.name, names(shop[kind]))
                shop[kind]:remove(shop[kind][1])
                assert.equal(fresh.name, names(shop[kind]))
                assert.is_true(shop[kind]:is_dirty())
                em:flush()
                assert.is_false(shop[kind]:is_dirty())
                assert.equal(expected[kind], stored(kind))
                assert.equal(fresh.name, names(shop[kind]))
                nothing_written()
                assert.equal(expected[kind], names(shop[kind]:load()))
            end
        end)

        it("a hidden member that is removed is removed", function()
            for _, kind in ipairs(kinds) do
                local shop = shop_with(kind)
                local hidden = em:find_one(targets[kind], 2)
                shop[kind]:remove(hidden)
                assert.is_true(shop[kind]:is_dirty(), kind)
                assert.equal("a", names(shop[kind]))
                em:flush()
                assert.equal((all[kind]:gsub(" ?b", "", 1)), stored(kind))
                assert.equal("a", names(shop[kind]))
                nothing_written()
            end
        end)

        it("a hidden member that is added is there once", function()
            for _, kind in ipairs(kinds) do
                local shop = shop_with(kind)
                local hidden = em:find_one(targets[kind], 2)
                shop[kind]:add(hidden)
                assert.equal("a b", names(shop[kind]))
                em:flush()
                nothing_written()
                -- Added and removed again: it leaves, hidden as it was.
                if kind ~= "steps" then assert.equal(all[kind], stored(kind)) end
            end
            for _, kind in ipairs(kinds) do
                local own = em:fork()
                local shop = shop_with(kind, own)
                local hidden = own:find_one(targets[kind], 2)
                shop[kind]:add(hidden)
                shop[kind]:remove(hidden)
                assert.equal("a", names(shop[kind]))
                own:flush()
                assert.is_nil(stored(kind):find "b")
                -- Removed and added again: it stays.
                hidden = own:find_one(targets[kind], kind == "people" and 1 or 3)
                shop[kind]:remove(hidden)
                shop[kind]:add(hidden)
                own:flush()
                assert.truthy(stored(kind):find(hidden.name))
            end
        end)

        it("set makes these and no others the members: hidden ones are read and leave", function()
            local expected = { parts = "c n", signs = "c n", tags = "c d", steps = "d c", people = "c" }
            for _, kind in ipairs(kinds) do
                local shop = shop_with(kind)
                local kept = em:find_one(targets[kind], 3)
                local other = kind == "parts" and Part { name = "n" } or kind == "signs" and Sign { name = "n" }
                    or em:find_one(targets[kind], kind == "people" and 3 or 4)
                if kind == "steps" then shop[kind]:set { other, kept } else shop[kind] = { kept, other } end
                assert.is_true(shop[kind]:is_dirty())
                em:flush()
                assert.equal(expected[kind], stored(kind))
                assert.equal(kind == "people" and "c" or #kept.name + #other.name, kind == "people"
                    and names(shop[kind]) or #shop[kind])
                nothing_written()
            end
            assert.equal("d", stored("parts", 2))
            assert.equal(3, tonumber(work.raw:value "select count(*) from parts"))
            assert.equal(5, tonumber(work.raw:value "select count(*) from signs")) -- they stay without a shop
        end)

        it("remove_all empties it in the database", function()
            for _, kind in ipairs(kinds) do
                local shop = shop_with(kind)
                shop[kind]:remove_all()
                assert.equal("", names(shop[kind]))
                em:flush()
                assert.equal("", stored(kind))
                nothing_written()
            end
            assert.equal("d", stored("parts", 2))
            assert.equal("a", stored("tags", 2))
            assert.equal(4, tonumber(work.raw:value "select count(*) from tags"))
            assert.equal(4, tonumber(work.raw:value "select count(*) from signs"))
            assert.equal(1, tonumber(work.raw:value "select count(*) from parts"))
        end)

        it("a removing cascade takes along hidden members too", function()
            local shop = shop_with "parts"
            em:load(shop, { { "signs", limit = 1 }, { "tags", limit = 1 } })
            em:remove(shop)
            raises("foreign_key_violation", function() em:flush() end) -- signs that nobody cascades to
            assert.equal("a b c", stored "parts")
            work.raw:exec "update signs set shop_id = null"
            work.raw:exec "update cards set shop_id = null"
            em:flush()
            assert.equal("d", (stored("parts", 2)))
            assert.equal(1, tonumber(work.raw:value "select count(*) from parts"))
            assert.equal(4, tonumber(work.raw:value "select count(*) from tags"))
            assert.equal(1, tonumber(work.raw:value "select count(*) from shops_tags"))
        end)

        it("orphans are those that left, and no hidden ones", function()
            local shop = shop_with "parts"
            shop.parts:remove(shop.parts[1])
            em:flush()
            assert.equal("b c", stored "parts")
            local other = em:find_one(Shop, 2)
            local b = em:find_one(Part, 2)
            other.parts:add(b) -- moves a hidden one
            em:flush()
            assert.equal("c", stored "parts")
            assert.equal("b d", stored("parts", 2))
        end)

        it("both sides follow: members that come and go by the other side", function()
            local shop = shop_with "signs"
            local b, d = em:find_one(Sign, 2), em:find_one(Sign, 4)
            d.shop = shop
            assert.equal("a d", names(shop.signs))
            b.shop = nil
            assert.equal("a d", names(shop.signs))
            shop.signs[1].shop = nil
            assert.equal("d", names(shop.signs))
            em:flush()
            assert.equal("c d", stored "signs")
            nothing_written()
            shop = shop_with "tags"
            local tag_b, tag_d = em:find_one(Tag, 2), em:find_one(Tag, 4)
            tag_d.shops:add(shop)
            assert.equal("a d", names(shop.tags))
            tag_b.shops:remove(shop)
            assert.equal("a d", names(shop.tags))
            em:flush()
            assert.equal("a c d", stored "tags")
            -- From the inverse side, in part.
            em:clear()
            local tag = em:find_one(Tag, 1, { populate = { { "shops", where = { name = "s2" } } } })
            assert.equal("s2", names(tag.shops))
            tag.shops:remove(tag.shops[1])
            em:flush()
            assert.equal("", stored("tags", 2))
            assert.equal("a c d", stored "tags")
            tag.shops:set {}
            em:flush()
            assert.equal("c d", stored "tags")
        end)

        it("a later plain load or populate shows the whole; other conditions read again, the same do not", function()
            for _, kind in ipairs(kinds) do
                local shop = shop_with(kind)
                assert.equal(1, #sent_by(sent, function() em:load(shop, { kind }) end))
                assert.equal(all[kind], names(shop[kind]))
                assert.same({}, (sent_by(sent, function() em:load(shop, { kind }) end)))
                local b = { where = { name = "b" } }
                assert.equal(1, #sent_by(sent, function() em:load(shop, { [kind] = b }) end))
                assert.equal("b", names(shop[kind]))
                assert.same({}, (sent_by(sent, function() em:load(shop, { [kind] = b }) end)))
                assert.same({}, (sent_by(sent, function() em:find_one(Shop, 1, { populate = { [kind] = b } }) end)))
                assert.equal(1, #sent_by(sent, function() em:load(shop, { [kind] = b }, { refresh = true }) end) - 1)
                em:load(shop, { [kind] = { where = { name = "a" } } })
                assert.equal("a", names(shop[kind]))
                em:load(shop, { [kind] = { limit = 1, order_by = { "name desc" } } })
                assert.equal(kind == "people" and "b" or "c", names(shop[kind]))
                nothing_written()
            end
        end)

        it("what was added and removed in memory stays through any reading again", function()
            local shop = em:find_one(Shop, 1, { populate = { "tags" } })
            local b, d = em:find_one(Tag, 2), em:find_one(Tag, 4)
            shop.tags:remove(b)
            shop.tags:add(d)
            local function read(entry)
                em:load(shop, { tags = entry }, { flush_mode = "commit" })
                return names(shop.tags)
            end
            assert.equal("a d", read { where = { name = "a" } })
            assert.equal("c d", read { where = { name = op.one_of { "b", "c" } } })
            assert.equal("d", read { where = { name = "b" } })
            assert.equal("a c d", read {})
            assert.equal("c d", read { where = { name = "c" } })
            assert.is_true(shop.tags:is_dirty())
            em:flush()
            assert.equal("a c d", stored "tags")
            assert.equal("c d", names(shop.tags))
            shop.tags:set { b }
            assert.equal("b", read { where = { name = "a" } })
            assert.equal("b", read {})
            em:flush()
            assert.equal("b", stored "tags")
        end)

        it("F1: a rollback gives it the members that it had, and that it is a part", function()
            for _, kind in ipairs(kinds) do
                local shop = shop_with(kind)
                assert.has_error(function()
                    em:transactional(function()
                        shop[kind]:load()
                        shop[kind]:remove(shop[kind][2])
                        em:flush()
                        shop[kind]:set { shop[kind][1] }
                        em:flush()
                        error("no", 0)
                    end)
                end, "no")
                assert.equal("a", names(shop[kind]))
                assert.equal(all[kind], stored(kind))
                nothing_written()
                assert.equal(all[kind], names(shop[kind]:load()))
                -- And the other way round.
                assert.has_error(function()
                    em:transactional(function()
                        em:load(shop, { [kind] = { where = { name = "a" } } })
                        shop[kind]:remove(em:find_one(targets[kind], 2))
                        shop[kind]:remove(shop[kind][1])
                        error("no", 0)
                    end)
                end, "no")
                assert.equal(all[kind], names(shop[kind]))
                assert.is_false(shop[kind]:is_dirty())
                nothing_written()
                assert.equal(all[kind], stored(kind))
            end
        end)

        it("F1: what a failed flush did not write is pending still", function()
            local shop = shop_with "tags"
            shop.tags:remove(em:find_one(Tag, 2))
            shop.tags:add(em:find_one(Tag, 4))
            local wrong = Tag { name = "e", id = 3 } -- 3 is a row
            em:persist(wrong)
            raises("unique_violation", function() em:flush() end)
            assert.is_true(shop.tags:is_dirty())
            assert.equal("a d", names(shop.tags))
            assert.equal("a b c", stored "tags")
            em:remove(wrong)
            em:flush()
            assert.equal("a c d", stored "tags")
            nothing_written()
        end)

        it("refresh drops what was added and removed, hidden or not, and makes nobody a member", function()
            local parts = { { { "tags", where = { name = "a" } } }, { { "tags", where = { name = "x" } } }, {} }
            for _, populate in ipairs(parts) do
                for _, side in ipairs { "shop", "tag" } do
                    local own = em:fork()
                    local shop = own:find_one(Shop, 1, { populate = populate })
                    local b, d, other = own:find_one(Tag, 2), own:find_one(Tag, 4), own:find_one(Shop, 2)
                    local shown = shop.tags:is_initialized() and names(shop.tags)
                    shop.tags:remove(b, d)
                    if shown == "a" then shop.tags:remove(shop.tags[1]) end
                    other.tags:remove(d)
                    own:refresh(shop)
                    own:refresh(other)
                    if side == "tag" then
                        b.shops:remove(other)
                        d.shops:remove(shop)
                        own:refresh(b)
                        own:refresh(d)
                    end
                    assert.equal(shown, shop.tags:is_initialized() and names(shop.tags))
                    own:flush()
                    assert.equal("a b c", stored "tags")
                    assert.equal("a", stored("tags", 2))
                end
            end
        end)

        it("one that was set and is read before the flush lets go of what it was set without", function()
            for _, before in ipairs { "no", "in part" } do
                local tag = em:find_one(Tag, 1)
                if before ~= "no" then em:load(tag, { { "shops", limit = 1 } }) end
                tag.shops:remove_all()
                em:find(Shop, {}, { populate = { "tags.shops", "tags" }, flush_mode = "commit" })
                em:flush()
                assert.equal("b c", stored "tags")
                assert.equal("", stored("tags", 2))
                local shop = em:find_one(Shop, 1)
                if before ~= "no" then em:load(shop, { { "signs", limit = 1 } }) end
                shop.signs:set { em:find_one(Sign, 4) }
                em:load(shop, { "signs" }, { flush_mode = "commit" })
                assert.equal("d", names(shop.signs))
                em:flush()
                assert.equal("d", stored "signs")
                nothing_written()
                em:clear()
                work.raw:exec "update signs set shop_id = 1 where id < 4"
                work.raw:exec "insert into shops_tags (shop_id, tag_id) values (1, 1), (2, 1)"
            end
        end)

        it("an inverse one_to_one that a condition hid is no empty one", function()
            local where = { name = "b" }
            local shop = em:find_one(Shop, 1, { populate = { { "card", where = where } } })
            assert.is_nil(shop.card)
            nothing_written()
            em:load(shop, { "card" })
            assert.equal("a", shop.card.name)
            em:clear()
            shop = em:find_one(Shop, 1, { populate = { { "card", where = where } } })
            shop.card = em:find_one(Card, 2)
            em:flush()
            assert.equal("2", tostring(work.raw:value "select id from cards where shop_id = 1"))
            em:clear()
            shop = em:find_one(Shop, 1, { populate = { { "card", where = { name = "a" } } } })
            assert.is_nil(shop.card)
            shop.card = nil
            em:flush()
            assert.same({}, work.raw:rows "select id from cards where shop_id = 1")
        end)

        it("of an instance of nobody it shows the same, and merging it loses nothing", function()
            local shop = em:find(Shop, { id = 1 }, { managed = false, populate = {
                { "tags", where = { name = "a" } }, { "parts", limit = 1 } } })[1]
            assert.equal("a", names(shop.tags))
            assert.equal("a", names(shop.parts))
            local own = em:merge(shop)
            em:flush()
            assert.equal("a b c", stored "tags")
            assert.equal("a b c", stored "parts")
            assert.equal("a b c", names(own.tags:load()))
        end)
    end)
end)
