-- Q6: a million rows in constant memory, of the process and of Lua.

local chance = require "spec.support.chance"
local orm = require "heddle"
local streams = require "spec.support.streams"

local Item = streams.Item
-- The same without a relation, which is what takes time.
local Row = orm.entity { name = "Row", table = "rows", { "id", type = "integer", primary = true },
    { "name", type = "string" }, { "rank", type = "integer", nullable = true } }
-- A sanitizer keeps what was freed for a while, and takes its time.
local is_sanitized = chance.is_sanitized
local ROWS = is_sanitized and 50000 or 1000000
local MOST = 20 -- MB

-- What the process has, in MB; 0 where the system does not say.
local function resident()
    local file = io.open "/proc/self/statm"
    if not file or is_sanitized then return 0 end
    local _, pages = file:read("*n", "*n")
    file:close()
    return pages * 4096 / 2 ^ 20
end

local function in_lua() return collectgarbage "count" / 1024 end

streams.each(function(place)
    describe("a million rows", function()
        local work, em

        setup(function()
            work = place:open(nil, { Row, Item, streams.Box })
            em = work.em
            streams.fill(em, ROWS / 10)
            em:execute(("insert into rows (id, name, rank) select (id - 1) * 10 + n, name || n, rank from items, "
                .. "(%s) as s order by 1"):format("select 1 as n" .. (" union all select %d"):rep(9)):format(
                2, 3, 4, 5, 6, 7, 8, 9, 10))
        end)
        teardown(function()
            work:close()
            place.db:close()
        end)

        -- Streams them, and looks at the memory while it does.
        local function grows(owner, opts, body)
            for row in owner:stream(Row, {}, { limit = 2000 }) do assert(row.id) end
            streams.collect_garbage()
            local process, lua, most_process, most_lua, count = resident(), in_lua(), 0, 0, 0
            for row in owner:stream(Row, {}, opts) do
                count = count + 1
                if body then body(row, count) end
                if count % 10000 == 0 then
                    most_process = math.max(most_process, resident() - process)
                    most_lua = math.max(most_lua, in_lua() - lua)
                end
            end
            assert.equal(opts and opts.limit or ROWS, count)
            assert.is_true(most_process < MOST, ("the process grew by %.1f MB"):format(most_process))
            assert.is_true(most_lua < MOST, ("Lua grew by %.1f MB"):format(most_lua))
        end

        it("Q6: are streamed in constant memory", function() grows(em) end)

        it("Q6: and inside a transaction that writes", function()
            em:transactional(function(tx)
                grows(tx, { order_by = { "id" } }, function(_, count)
                    if count == 1000 then tx:execute "update rows set name = 'changed' where id <= 2000" end
                end)
            end)
        end)

        it("Q6: and sorted by what no index has", function() grows(em, { order_by = { "rank desc" } }) end)

        it("Q6: and managed, where em:detach lets go of each", function()
            local fork = em:fork()
            grows(fork, { managed = true, limit = ROWS / 5 }, function(row) fork:detach(row) end)
            assert.equal("em<default: 0 managed>", tostring(fork))
        end)

        it("Q6: and populated, where relations of a chunk go with it", function()
            local fork, few = em:fork(), math.floor(ROWS / 30)
            streams.collect_garbage()
            local process, count = resident(), 0
            for item in fork:stream(Item, {}, { populate = { "box" }, limit = few }) do
                count = count + #item.box.label
            end
            assert.equal(3 * few, count)
            assert.is_true(resident() - process < MOST)
            assert.equal("em<default: 0 managed>", tostring(fork))
        end)

        it("are counted as many times as they are there", function()
            local sum = 0
            for row in em:stream(Row, { id = orm.op.gt(ROWS - 1000) }) do sum = sum + row.id end
            assert.equal(1000 * ROWS - 999 * 1000 / 2, sum)
        end)
    end)
end)
