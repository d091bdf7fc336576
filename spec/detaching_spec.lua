-- What holds an instance that leaves its entity manager lets go of it, whenever it came to hold it, and however much
-- else is managed.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local instructions = require "spec.support.instructions"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Node = orm.entity { name = "Node", table = "nodes",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "parent", many_to_one = "Node", nullable = true },
    { "links", many_to_many = "Node", inversed_by = "linked", pivot_table = "links", join_column = "from_id",
        inverse_join_column = "to_id" },
    { "linked", many_to_many = "Node", mapped_by = "links" },
    { "marks", many_to_many = "Mark", pivot_table = "marks_of" } }
local Mark = orm.entity { name = "Mark", table = "marks", { "id", type = "integer", primary = true } }
local Box = orm.entity { name = "Box", table = "boxes", { "id", type = "integer", primary = true },
    { "mark", one_to_one = "Mark", nullable = true, orphan_removal = true } }

local by_id = { "id" }

databases.each(function(db)
    describe("detaching", function()
        local work, em

        before_each(function()
            work = unit.open(db, { Node, Mark, Box })
            em = work.em
        end)

        after_each(function()
            work:close()
            db:close()
        end)

        -- A ring of links, parents like those of a heap, a mark each.
        local function seed(count)
            local nodes, links, marks, marked = {}, {}, {}, {}
            for i = 1, count do
                nodes[i] = ("(%d, 'n%d', %s)"):format(i, i, i > 1 and math.floor(i / 2) or "null")
                links[i] = ("(%d, %d)"):format(i, i % count + 1)
                marks[i], marked[i] = ("(%d)"):format(i), ("(%d, %d)"):format(i, i)
            end
            work.raw:exec("insert into nodes (id, name, parent_id) values " .. table.concat(nodes, ","))
            work.raw:exec("insert into links (from_id, to_id) values " .. table.concat(links, ","))
            work.raw:exec("insert into marks (id) values " .. table.concat(marks, ","))
            work.raw:exec("insert into marks_of (node_id, mark_id) values " .. table.concat(marked, ","))
        end

        describe("costs the same for each, however many are managed:", function()
            local MANY = 2000

            local function check(prepare, leave)
                seed(MANY)
                local function cost(count)
                    local own = work:fork()
                    local list = prepare(own, { id = orm.op.lte(count) })
                    return instructions.of(function()
                        for _, e in ipairs(list) do (leave or own.detach)(own, e) end
                    end)
                end
                cost(10)
                assert.is_true(cost(MANY) < 15 * cost(MANY / 10))
            end

            it("rows of which a part was read", function()
                check(function(own, where) return own:find(Node, where, { fields = { "name" }, order_by = by_id }) end)
            end)

            it("rows whose relations were assigned", function()
                check(function(own, where)
                    local list = own:find(Node, where, { order_by = by_id })
                    for i, e in ipairs(list) do e.parent = list[i % #list + 1] end
                    return list
                end)
            end)

            it("members of collections", function()
                check(function(own, where)
                    return own:find(Node, where, { populate = { "links" }, order_by = by_id })
                end)
            end)

            it("members of collections of one side", function()
                check(function(own, where)
                    local list = {}
                    for _, e in ipairs(own:find(Node, where, { populate = { "marks" }, order_by = by_id })) do
                        list[#list + 1] = e.marks[1]
                    end
                    return list
                end)
            end)

            it("new rows that are not to be written after all", function()
                check(function(own, where)
                    local list = {}
                    for i, e in ipairs(own:find(Node, where, { order_by = by_id })) do
                        list[i] = Mark {}
                        e.marks:add(list[i])
                        own:persist(list[i])
                    end
                    return list
                end, em.remove)
            end)

            it("orphans of a relation of one side", function()
                local function cost(count)
                    local own, boxes = work:fork(), {}
                    for i = 1, count do boxes[i] = Box { mark = Mark {} } end
                    for _, box in ipairs(boxes) do own:persist(box) end
                    own:flush()
                    return instructions.of(function()
                        for _, box in ipairs(boxes) do box.mark = nil end
                        own:flush()
                    end)
                end
                cost(10)
                assert.is_true(cost(MANY) < 15 * cost(MANY / 10))
                assert.equal("0", work.raw:value "select count(*) from marks")
            end)
        end)

        -- Who holds an instance although nobody manages it.
        local function still_held(managed, gone)
            for e in pairs(managed) do
                for _, name in ipairs { "links", "linked", "marks" } do
                    local list = e[name]
                    if list:is_initialized() and list:contains(gone) then return name .. " of " .. e.id end
                end
                if e.parent == gone then return "parent of " .. e.id end
            end
        end

        -- Its row stays, and is read again.
        local function leave(managed, gone)
            em:detach(gone)
            managed[gone] = nil
            local holder = still_held(managed, gone)
            if holder then error(("%s has %d"):format(holder, gone.id), 0) end
            managed[em:find_one(Node, gone.id)] = true
        end

        local last = 1000
        local steps = {
            -- Assigned, and nothing changed.
            function(_, pick)
                local e = pick()
                e.parent = e.parent
            end,
            function(_, pick)
                pick().parent = pick()
                em:flush()
                local e = pick()
                e.parent = e.parent
            end,
            function(_, pick) pick().links:add(pick()) end,
            function(_, pick) pick().linked:add(pick()) end,
            function(_, pick) pick().links:remove(pick()) end,
            function(_, pick) pick().links = { pick(), pick() } end,
            function(_, pick) em:load(pick(), { "links" }) end,
            function(_, pick) em:load(pick(), { "linked", "marks" }) end,
            -- Members that are none for a while, in which somebody else leaves.
            function(managed, pick)
                em:flush()
                local e = pick()
                em:load(e, { "links" })
                em:load(e.links:items(), { "linked" })
                local other = pick()
                local is_apart = other ~= e and not e.links:contains(other)
                e.links = {}
                if is_apart then leave(managed, other) end
                em:refresh(e)
            end,
            -- Somebody else's pair.
            function(managed, pick)
                local e, other = pick(), pick()
                em:flush()
                work.raw:exec(("delete from links where from_id = %d"):format(e.id))
                work.raw:exec(("insert into links (from_id, to_id) values (%d, %d)"):format(e.id, other.id))
                e.links:load { refresh = true }
                leave(managed, other)
            end,
            function(managed, pick)
                last = last + 1
                local made = Node { id = last, name = "made", parent = pick(), links = { pick() }, linked = { pick() } }
                em:persist(made):flush()
                managed[made] = true
            end,
            function(_, pick)
                em:flush()
                pcall(em.transactional, em, function()
                    pick().links:add(pick())
                    pick().linked:remove_all()
                    em:flush()
                    error "taken back"
                end)
            end,
            function(_, pick)
                em:flush()
                local e, gone = pick(), pick()
                e.parent = e.parent
                pcall(em.transactional, em, function()
                    e.links:remove_all()
                    em:flush()
                    em:detach(gone)
                    error "taken back"
                end)
            end,
        }

        it("U1: nothing holds what was detached, in any order of reads, changes and rollbacks", function()
            seed(8)
            local first = chance.seed(1)
            for seed_of_run = first, first + chance.runs(60) - 1 do
                local random = chance.generator(seed_of_run)
                em = work:fork()
                local managed = {}
                local populate = seed_of_run % 2 == 0 and { "links", "linked", "marks" } or nil
                for _, e in ipairs(em:find(Node, {}, { populate = populate, order_by = by_id })) do
                    managed[e] = true
                end
                local function pick()
                    local list = {}
                    for e in pairs(managed) do list[#list + 1] = e end
                    table.sort(list, function(a, b) return a.id < b.id end)
                    return list[random(#list)]
                end
                local ok, err = pcall(function()
                    for step = 1, 30 do
                        steps[random(#steps)](managed, pick)
                        if step % 3 == 0 then
                            em:flush()
                            leave(managed, pick())
                        end
                    end
                    em:flush()
                end)
                assert.is_true(ok, ("seed %d: %s"):format(seed_of_run, tostring(err)))
            end
        end)
    end)
end)
