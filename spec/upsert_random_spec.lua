-- Upserts by chance: lists of random items with random options, changes flushed between them, transactions that are
-- rolled back, compared with a model of plain tables: flags, rows and managed instances.

local databases = require "spec.support.databases"
local orm = require "heddle"

local RUNS, STEPS = 40, 40

local Item = orm.entity { name = "Item", table = "items",
    { "id", type = "integer", primary = true },
    { "k", type = "string", unique = true },
    { "v", type = "integer", nullable = true },
    { "w", type = "integer", default = 5 },
    { "d", type = "string", default_sql = "'z'" },
    { "version", type = "integer", version = true },
}

local function value(given)
    if given == orm.null then return nil end
    return given
end

local function copy(model)
    local made = {}
    for key, row in pairs(model) do
        made[key] = { v = row.v, w = row.w, d = row.d, version = row.version }
    end
    return made
end

local function random_items()
    local list = {}
    for i = 1, math.random(8) do
        local item = { k = "k" .. math.random(8) }
        if math.random(2) == 1 then item.v = math.random(3) == 1 and orm.null or math.random(9) end
        if math.random(3) == 1 then item.w = math.random(9) end
        if math.random(4) == 1 then item.d = "d" .. math.random(3) end
        list[i] = item
    end
    return list
end

-- Options, and what they do to a row of the model that is there: sets fields, or gives false where it is left alone.
local function given(row, item, skipped)
    local changed = false
    for _, name in ipairs { "v", "w", "d" } do
        if item[name] ~= nil and name ~= skipped then
            row[name], changed = value(item[name]), true
        end
    end
    return changed
end

local ways = {
    function() return nil, given end,
    function() return { on_conflict_action = "ignore" }, function() return false end end,
    function()
        return { on_conflict_merge_fields = { "v" } }, function(row, item)
            row.v = value(item.v)
            return true
        end
    end,
    function()
        return { on_conflict_exclude_fields = { "w" } }, function(row, item) return given(row, item, "w") end
    end,
    function()
        return { on_conflict_where = { w = orm.op.gt(4) } },
            function(row, item) return row.w > 4 and given(row, item) end
    end,
    function()
        return { on_conflict_merge_fields = { "d", v = orm.raw("coalesce(e0.v, 0) + ?", 2) } }, function(row, item)
            row.d, row.v = item.d or "z", (row.v or 0) + 2
            return true
        end
    end,
}

databases.each(function(db)
    describe("upserts by chance", function()
        local em, model, known, saved, place

        local function same(row, other, what)
            local alike = row and other and row.v == other.v and row.w == other.w and row.d == other.d
                and row.version == other.version
            if not alike then error(("%s, %s: %s"):format(place, what, row and "differs" or "is no row"), 0) end
        end

        local function check()
            local count = 0
            for _, row in ipairs(em:execute "select k, v, w, d, version from items") do
                same(model[row.k], row, "row " .. row.k)
                count = count + 1
            end
            for _ in pairs(model) do count = count - 1 end
            assert.equal(0, count, place)
            for e in pairs(known) do
                if em:contains(e) then same(model[e.k], e, "instance " .. e.k) end
            end
        end

        local function upsert()
            local list = random_items()
            local opts, merge = ways[math.random(#ways)]()
            local items, new = em:upsert_many(Item, list, opts)
            for i, item in ipairs(list) do
                local row = model[item.k]
                assert.equal(row == nil, new[i], place)
                assert.equal(item.k, items[i].k, place)
                known[items[i]] = true
                if not row then
                    model[item.k] = { v = value(item.v), w = item.w or 5, d = item.d or "z", version = 1 }
                elseif merge(row, item) then
                    row.version = row.version + 1
                end
            end
        end

        local function change()
            for e in pairs(known) do
                if em:contains(e) and math.random(3) == 1 then
                    local row = model[e.k]
                    e.v = (e.v or 0) + 100
                    row.v, row.version = e.v, row.version + 1
                end
            end
            em:flush()
        end

        local function step()
            local what = math.random(10)
            if what <= 6 then
                upsert()
            elseif what == 7 then
                change()
            elseif what == 8 and #saved < 3 then
                em:begin()
                saved[#saved + 1] = copy(model)
            elseif what >= 9 and #saved > 0 then
                local former = table.remove(saved)
                if what == 9 then em:commit() else em:rollback() end
                if what == 10 then model = former end
            end
            check()
        end

        it("F1, I3, U5: flags, rows and instances are the model's after every step", function()
            orm.init(db:config { entities = { Item }, batch_size = 3 }).schema:create()
            for seed = 1, RUNS do
                math.randomseed(seed)
                em, model, known, saved = orm.em():fork(), {}, {}, {}
                em:delete_where(Item, {}, { all = true })
                for number = 1, STEPS do
                    place = ("seed %d, step %d"):format(seed, number)
                    step()
                end
                while #saved > 0 do
                    table.remove(saved)
                    em:commit()
                end
                check()
            end
            orm.close()
            db:close()
        end)
    end)
end)
