--- What specs of streams share: two entities, many rows made by SQL, and every place where a stream can stand.
--
--     streams.each(function(place)        -- once for PostgreSQL, once for a SQLite file, once for one in memory
--         local work = place:open()       -- as unit.open, with tables; work.raw is nil in memory
--         streams.fill(work.em, 1000)     -- items 1 to 1000
--         place.is_memory, place.db.name
--     end)

local busted = require "busted"
local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local streams = {}

streams.CHUNK = 256

local id = { "id", type = "integer", primary = true }

streams.Item = orm.entity { name = "Item", table = "items", id, { "name", type = "string" },
    { "rank", type = "integer", nullable = true }, { "box", many_to_one = "Box", nullable = true } }
streams.Box = orm.entity { name = "Box", table = "boxes", id, { "label", type = "string" },
    { "items", one_to_many = "Item", mapped_by = "box", order_by = { "id" } } }

streams.entities = { streams.Item, streams.Box }

local Place = {}
Place.__index = Place

--- A context on a fresh database of the place.
function Place:open(overrides, entities)
    local config = {}
    for key, value in pairs(overrides or {}) do config[key] = value end
    if self.is_memory then config.database = ":memory:" end
    local work = unit.open(self.db, entities or streams.entities, config)
    if self.is_memory then work.raw = nil end
    return work
end

local function describe(db, name, is_memory, block)
    local place = setmetatable({ db = db, is_memory = is_memory, is_sqlite = db.name == "sqlite" }, Place)
    busted.describe("(" .. name .. ")", function() block(place) end)
end

--- Runs a block for every place that this run covers.
function streams.each(block)
    databases.each(function(db)
        describe(db, db.name == "sqlite" and "a file" or "a server", false, block)
        if db.name == "sqlite" then describe(db, "in memory", true, block) end
    end)
end

--- Items 1 to `count`, "item 1" and so on; each tenth has no rank; box 1 has every third, box 2 the others.
function streams.fill(em, count)
    local series = em.context.driver_name == "sqlite"
        and ("with recursive s(n) as (select 1 union all select n + 1 from s where n < %d) "):format(count) or ""
    local from = series == "" and ("generate_series(1, %d) as s(n)"):format(count) or "s"
    em:execute "insert into boxes (id, label) values (1, 'one'), (2, 'two')"
    em:execute(("%sinsert into items (id, name, rank, box_id) select n, 'item ' || n, "
        .. "case when n %% 10 = 0 then null else n end, case when n %% 3 = 0 then 1 else 2 end from %s"):format(
        count > 0 and series or "", count > 0 and from or "(select 1 as n where 1 = 0) as s"))
end

--- Reads a stream to its end; gives a list of what `of` makes of each row (default: its id).
function streams.collect(rows, of)
    local list = {}
    for row in rows do list[#list + 1] = of and of(row) or row.id end
    return list
end

--- 1, 2 .. n
function streams.numbers(first, last)
    local list = {}
    for i = first, last do list[#list + 1] = i end
    return list
end

function streams.collect_garbage()
    for _ = 1, 4 do collectgarbage() end
end

return streams
