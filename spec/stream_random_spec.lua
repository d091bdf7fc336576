-- Q6: streams beside random work. Each shows the rows of the moment of its first step, in their order and each once,
-- whatever is written, begun, committed and rolled back meanwhile, until it is read, closed, or its transaction ends.

local streams = require "spec.support.streams"
local unit = require "spec.support.unit"

local Item = streams.Item
local ROWS, STEPS, LIVE, DEPTH = 300, 250, 5, 4

streams.each(function(place)
    describe("streams beside random work", function()
        local work, em, seed, live, levels, ended

        local function draw(n)
            seed = (seed * 16807) % 2147483647
            return seed % n + 1
        end

        before_each(function()
            work = place:open { pool = { max = LIVE + 2 } }
            em = work.em
            streams.fill(em, ROWS)
            live, levels, ended = {}, {}, 0
        end)
        after_each(function()
            work:close()
            place.db:close()
        end)

        local function text_of(item) return ("%d %s %s"):format(item.id, item.name, tostring(item.rank)) end

        -- What a stream has to show: what is there, as the same entity manager sees it.
        local function moment(order)
            local list = {}
            for i, row in ipairs(em:execute("select id, name, rank from items order by id " .. order)) do
                list[i] = text_of(row)
            end
            return list
        end

        local actions = {}

        local function step(each, count)
            for _ = 1, count do
                if each.is_dead then
                    unit.raises("closed", each.rows)
                    return
                end
                local item = each.rows()
                each.at = each.at + 1
                local wanted = each.wanted[each.at]
                assert.equal(wanted, item and text_of(item))
                if not item then
                    each.is_read = true
                    return
                end
            end
        end

        function actions.open()
            if #live == LIVE then return end
            local order = draw(2) == 1 and "asc" or "desc"
            local each = { rows = em:stream(Item, {}, { order_by = { "id " .. order }, managed = false }),
                wanted = moment(order), at = 0, level = levels[#levels] }
            live[#live + 1] = each
            step(each, 1)
        end
        actions.open_again = actions.open

        function actions.step()
            if live[1] then step(live[draw(#live)], draw(3) == 1 and ROWS * 2 or draw(60)) end
        end
        actions.step_again, actions.step_more = actions.step, actions.step

        function actions.close()
            if live[1] and draw(3) == 1 then
                local each = table.remove(live, draw(#live))
                each.rows:close()
                if not each.is_dead then assert.is_nil(each.rows()) end
            end
        end

        function actions.update() em:execute("update items set rank = rank + 1000 where id > ?", draw(ROWS)) end
        function actions.move() em:execute("update items set id = id + 5000 where id = ?", draw(ROWS)) end
        function actions.delete() em:delete_where(Item, { id = draw(ROWS) }) end

        function actions.flush()
            local first = 10000 + draw(1000000)
            for i = first, first + 3 do
                if not em:find_one(Item, i) then em:persist(Item { id = i, name = "new" }) end
            end
            em:flush()
        end

        function actions.begin()
            if #levels == DEPTH then return end
            em:begin()
            levels[#levels + 1] = {}
        end

        -- Streams of a level that ends are over, or become those of the level around it.
        local function leave(to)
            local level = table.remove(levels)
            for _, each in ipairs(live) do
                if each.level == level then
                    each.level, each.is_dead = to, to == nil
                    if each.is_dead then ended = ended + 1 end
                end
            end
        end

        function actions.commit()
            if not levels[1] then return end
            em:commit()
            leave(levels[#levels - 1])
        end

        function actions.rollback()
            if not levels[1] then return end
            em:rollback()
            leave(nil)
        end

        function actions.fail()
            if not levels[1] then return end
            local ok = pcall(em.transactional, em, function(inner)
                inner:execute "update items set name = 'undone'"
                if live[1] and draw(2) == 1 and not live[1].is_dead then step(live[1], 20) end
                inner:execute "insert into nowhere values (1)"
            end)
            assert.is_false(ok)
        end

        function actions.look() em:count(Item, {}) end

        local names = {}
        for name in pairs(actions) do names[#names + 1] = name end
        table.sort(names)

        local function forget()
            for i = #live, 1, -1 do
                if live[i].is_read then table.remove(live, i) end
            end
            -- Those that are over are asked once more, then forgotten.
            for i = #live, 1, -1 do
                if live[i].is_dead and draw(4) == 1 then
                    step(live[i], 1)
                    table.remove(live, i)
                end
            end
        end

        for number = 1, 6 do
            it(("Q6: show one moment each (%d)"):format(number), function()
                seed = 4711 * number + 12345
                for _ = 1, STEPS do
                    actions[names[draw(#names)]]()
                    forget()
                end
                for _, each in ipairs(live) do step(each, 10 * ROWS) end
                while levels[1] do actions.rollback() end
                for _, each in ipairs(live) do each.rows:close() end
                assert.is_true(ended > 0)
                assert.equal(0, work.instance:pool_stats().in_use)
                assert.equal(0, work.instance:pool_stats().closed)
                assert.equal(em:count(Item, {}), #moment "asc")
            end)
        end
    end)
end)
