-- Faults that reviews of loading found, each once more.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises, sent_by = expect.raises, expect.sent_by
local id = { "id", type = "integer", primary = true }

local Shop = orm.entity { name = "Shop", table = "shops", id, { "name", type = "string" },
    { "parts", one_to_many = "Part", mapped_by = "shop", cascade = { "persist", "remove" }, orphan_removal = true },
    { "signs", one_to_many = "Sign", mapped_by = "shop" },
}
local Part = orm.entity { name = "Part", table = "parts", id, { "name", type = "string" },
    { "shop", many_to_one = Shop } }
local Sign = orm.entity { name = "Sign", table = "signs", id, { "name", type = "string" },
    { "shop", many_to_one = Shop, nullable = true } }

local rows = {
    "insert into shops (id, name) values (1, 's1'), (2, 's2')",
    "insert into parts (id, name, shop_id) values (1, 'a', 1), (2, 'b', 1), (3, 'c', 1), (4, 'd', 2)",
    "insert into signs (id, name, shop_id) values (1, 'a', 1), (2, 'b', 1), (3, 'c', 1), (4, 'd', 2)",
}

local function names(list)
    local made = {}
    for i, e in ipairs(type(list) == "table" and list or list:items()) do made[i] = e.name end
    return table.concat(made, " ")
end

databases.each(function(db)
    describe("found in loading:", function()
        local work, em, sent

        before_each(function()
            work = unit.open(db, { Shop, Part, Sign })
            for _, sql in ipairs(rows) do work.raw:exec(sql) end
            em = work.em
            sent = expect.statements(work.instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function stored(kind)
            local list = {}
            for i, row in ipairs(work.raw:rows("select name, shop_id from " .. kind .. " order by id")) do
                list[i] = row[1] .. (row[2] or "-")
            end
            return table.concat(list, " ")
        end

        -- Instances whose own side of the relation nobody has read.
        local unread = {
            reference = function(own, entity, key) return own:get_reference(entity, key) end,
            partial = function(own, entity, key) return own:find_one(entity, key, { fields = { "name" } }) end,
        }
        local shops = {
            ["not loaded"] = nil,
            ["in part"] = { { "parts", where = { name = "a" } }, { "signs", limit = 1 } },
            ["whole"] = { "parts", "signs" },
        }

        it("I5: what is removed without having been read leaves this owner, and no other one", function()
            for _, how in ipairs { "reference", "partial" } do
                for _, known in ipairs { "not loaded", "in part", "whole" } do
                    local what = how .. " of a shop whose members are " .. known
                    local own = em:fork()
                    local shop = own:find_one(Shop, 2, { populate = shops[known] })
                    shop.parts:remove(unread[how](own, Part, 2))
                    shop.signs:remove(unread[how](own, Sign, 2))
                    own:flush()
                    assert.equal("a1 b1 c1 d2", stored "parts", what)
                    assert.equal("a1 b1 c1 d2", stored "signs", what)
                    assert.same({}, sent_by(sent, function() own:flush() end), what)
                end
            end
        end)

        it("I5: an orphan that was not read is deleted, other members lose their owner", function()
            local expected = { "a1 c1 d2", "c1 d2" }
            for i, how in ipairs { "reference", "partial" } do
                local own = em:fork()
                local shop = own:find_one(Shop, 1, { populate = i == 1 and shops["in part"] or nil })
                local part, sign = unread[how](own, Part, 3 - i), unread[how](own, Sign, 3 - i)
                shop.parts:remove(part)
                shop.signs:remove(sign)
                assert.is_true(shop.parts:is_dirty())
                -- One query a relation says whose they are; both sides follow.
                own:flush()
                assert.equal(expected[i], stored "parts")
                assert.is_false(own:contains(part))
                assert.is_nil(sign.shop)
                assert.equal("c", names(shop.parts:load { where = { name = "c" } }))
            end
            assert.equal("a- b- c1 d2", stored "signs")
        end)

        it("I5: whose members were removed unread is one query a relation", function()
            local shop, other = em:find_one(Shop, 1), em:find_one(Shop, 2)
            for key = 1, 3 do shop.signs:remove(em:get_reference(Sign, key)) end
            other.signs:remove(em:get_reference(Sign, 4))
            shop.parts:remove(em:get_reference(Part, 1))
            local reads = 0
            for _, sql in ipairs(sent_by(sent, function() em:flush() end)) do
                if sql:find "^SELECT .* FROM" then reads = reads + 1 end
            end
            assert.equal(2, reads)
            assert.equal("a- b- c- d-", stored "signs")
            assert.equal("b1 c1 d2", stored "parts")
        end)

        it("I3: what was removed unread and is loaded then is let go by both sides", function()
            local shop = em:find_one(Shop, 1)
            local sign = em:get_reference(Sign, 2)
            shop.signs:remove(sign)
            shop.signs:load { flush_mode = "commit" }
            assert.equal("a c", names(shop.signs))
            assert.is_nil(sign.shop)
            em:flush()
            assert.equal("a1 b- c1 d2", stored "signs")
            -- Read by another way than the relation's.
            local last = em:get_reference(Sign, 3)
            em:find_one(Shop, 2).signs:remove(last)
            em:load(last)
            em:flush()
            assert.equal("a1 b- c1 d2", stored "signs")
            -- Added again, or given to another one, it is no matter of the removal any more.
            local own = em:fork()
            local first, second = own:find_one(Shop, 1), own:find_one(Shop, 2)
            local a, c = own:get_reference(Sign, 1), own:get_reference(Sign, 3)
            first.signs:remove(a, c)
            first.signs:add(a)
            c.shop = second
            own:flush()
            assert.equal("a1 b- c2 d2", stored "signs")
        end)

        it("F1: a rollback gives back what was removed unread", function()
            local shop = em:find_one(Shop, 1, { populate = shops["in part"] })
            em:begin()
            shop.parts:remove(em:get_reference(Part, 2))
            em:flush()
            em:rollback()
            em:flush()
            assert.equal("a1 b1 c1 d2", stored "parts")
            assert.equal("a b c", names(shop.parts:load()))
            -- What was pending before the savepoint is pending behind it.
            shop.signs:remove(em:get_reference(Sign, 2))
            pcall(em.transactional, em, function()
                em:flush()
                error "no"
            end)
            assert.is_true(shop.signs:is_dirty())
            em:flush()
            assert.equal("a1 b- c1 d2", stored "signs")
        end)

        it("who loses an owner that nobody has read is an orphan as others are", function()
            local known, reference = em:find_one(Part, 1), em:get_reference(Part, 2)
            known.shop, reference.shop = nil, nil
            em:flush()
            assert.equal("c1 d2", stored "parts")
            -- Nullable or without orphan_removal it stays.
            em:find_one(Sign, 1).shop = nil
            em:get_reference(Sign, 2).shop = nil
            em:flush()
            assert.equal("a- b- c1 d2", stored "signs")
            -- It has another place by then.
            local moved = em:find_one(Part, 3)
            moved.shop = nil
            moved.shop = em:get_reference(Shop, 2)
            em:flush()
            assert.equal("c2 d2", stored "parts")
        end)

        it("I3: who is read again is no orphan any more, whoever manages its owner", function()
            local part = em:find_one(Part, 1)
            part.shop = nil
            em:refresh(part)
            em:flush()
            local shop, second = em:find_one(Shop, 1), em:find_one(Part, 2)
            second.shop = nil
            em:detach(shop)
            em:refresh(second)
            em:flush()
            assert.equal("a1 b1 c1 d2", stored "parts")
        end)

        it("U1: what was assigned and changes nothing keeps nobody from being detached", function()
            local shop, other = em:find_one(Shop, 1), em:find_one(Shop, 2)
            local part, sign = em:find_one(Part, 1), em:find_one(Sign, 1)
            part.shop = shop
            sign.shop = other
            sign.shop = shop
            em:detach(shop)
            em:find_one(Part, 2).name = "bb"
            em:flush()
            assert.equal("a1 bb1 c1 d2", stored "parts")
            assert.equal("a1 b1 c1 d2", stored "signs")
            assert.equal(1, part.shop.id)
            assert.equal(em:find_one(Shop, 1), sign.shop)
            -- What changes something is said.
            part.shop = other
            em:detach(other)
            raises("not_managed", function() em:flush() end)
        end)

        it("a member whose own side is left out of what is read leaves and moves as others do", function()
            for _, strategy in ipairs { "select_in", "joined" } do
                local own = em:fork()
                own:begin()
                local shop = own:find_one(Shop, { name = "s1" },
                    { populate = { { "parts", exclude = { "shop" } } }, strategy = strategy })
                local first, second = shop.parts[1], shop.parts[2]
                shop.parts:remove(first)
                own:find_one(Shop, 2).parts:add(second)
                assert.equal("c", names(shop.parts))
                own:flush()
                assert.same({ { name = "b", shop_id = 2 }, { name = "c", shop_id = 1 }, { name = "d", shop_id = 2 } },
                    own:execute "select name, shop_id from parts order by id")
                own:rollback()
            end
            raises("validation", function()
                em:find(Shop, {}, { populate = { { "parts", exclude = { "shop" }, populate = { "shop" } } } })
            end)
        end)

    end)
end)
