-- What populate loads, in whatever tree of paths, conditions, orders and limits, is what a plain model of the tables
-- says; and whatever is done to collections that were read whole, in part or not at all, the tables hold what the model
-- holds then: nothing that a condition hid is lost or deleted. HEDDLE_SEED runs one seed, HEDDLE_RUNS more of them.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op = orm.op
local first_seed, last_seed = chance.range(12)
local id = { "id", type = "integer", primary = true }

local Author = orm.entity { name = "Author", table = "authors", id, { "n", type = "integer", nullable = true },
    { "mentor", many_to_one = "Author", nullable = true },
    { "pupils", one_to_many = "Author", mapped_by = "mentor" },
    { "books", one_to_many = "Book", mapped_by = "author" },
    { "card", one_to_one = "Card", mapped_by = "author" },
    { "friends", many_to_many = "Author", fixed_order = true },
    { "fans", many_to_many = "Author", mapped_by = "friends" },
}
local Book = orm.entity { name = "Book", table = "books", id, { "n", type = "integer", nullable = true },
    { "author", many_to_one = Author, nullable = true }, { "tags", many_to_many = "Tag" } }
local Tag = orm.entity { name = "Tag", table = "tags", id, { "n", type = "integer", nullable = true },
    { "books", many_to_many = Book, mapped_by = "tags" } }
local Card = orm.entity { name = "Card", table = "cards", id, { "n", type = "integer", nullable = true },
    { "author", one_to_one = Author, inversed_by = "card", nullable = true } }
local class = { Author = Author, Book = Book, Tag = Tag, Card = Card }

-- The model ------------------------------------------------------------------------------------------------

local foreign = { Author = { mentor = "Author" }, Book = { author = "Author" }, Card = { author = "Author" } }
local many = { Author = { pupils = { "Author", "mentor" }, books = { "Book", "author" }, card = { "Card", "author" } } }
local pairs_of = {
    Author = { friends = { "Author", "friends", 1 }, fans = { "Author", "friends", 2 } },
    Book = { tags = { "Tag", "tags", 1 } }, Tag = { books = { "Book", "tags", 2 } },
}
local relations = {
    Author = { "mentor", "pupils", "books", "card", "friends", "fans" }, Book = { "author", "tags" },
    Tag = { "books" }, Card = { "author" },
}

-- model[name][id] = { id, n, mentor = id ... }; model.pairs[relation] = { { from, to }, ... } in order.
local function make(random)
    local model = { pairs = { friends = {}, tags = {} } }
    for _, name in ipairs { "Author", "Book", "Tag", "Card" } do
        model[name] = {}
        for i = 1, random(9) do model[name][i] = { id = i, n = random(4) > 1 and random(3) or nil, entity = name } end
    end
    for _, name in ipairs { "Author", "Book" } do
        for _, row in ipairs(model[name]) do
            local to = random(#model.Author + 1)
            row[name == "Author" and "mentor" or "author"] = model.Author[to] and to or nil
        end
    end
    for i, row in ipairs(model.Card) do row.author = random(3) > 1 and model.Author[i] and i or nil end
    for name, ends in pairs { friends = { "Author", "Author" }, tags = { "Book", "Tag" } } do
        local seen = {}
        for _ = 1, random(25) - 1 do
            local from, to = random(#model[ends[1]]), random(#model[ends[2]])
            if not seen[from .. "," .. to] then table.insert(model.pairs[name], { from, to }) end
            seen[from .. "," .. to] = true
        end
    end
    return model
end

local function sql_of(model)
    local list = {}
    local function insert(into, row) list[#list + 1] = ("insert into %s values (%s)"):format(into, row) end
    local function text(value) return value and ("%d"):format(value) or "null" end
    for _, row in ipairs(model.Author) do insert("authors (id, n)", text(row.id) .. ", " .. text(row.n)) end
    for _, row in ipairs(model.Author) do
        list[#list + 1] = ("update authors set mentor_id = %s where id = %d"):format(text(row.mentor), row.id)
    end
    for _, name in ipairs { "Book", "Card" } do
        for _, row in ipairs(model[name]) do
            insert((name == "Book" and "books" or "cards") .. " (id, n, author_id)",
                text(row.id) .. ", " .. text(row.n) .. ", " .. text(row.author))
        end
    end
    for _, row in ipairs(model.Tag) do insert("tags (id, n)", text(row.id) .. ", " .. text(row.n)) end
    for _, pair in ipairs(model.pairs.friends) do
        insert("authors_friends (author_1_id, author_2_id)", text(pair[1]) .. ", " .. text(pair[2]))
    end
    for _, pair in ipairs(model.pairs.tags) do
        insert("books_tags (book_id, tag_id)", text(pair[1]) .. ", " .. text(pair[2]))
    end
    return list
end

-- The rows that a relation leads to, in its usual order.
local function members(model, row, name)
    local list = {}
    local to_one = (foreign[row.entity] or {})[name]
    if to_one then return { row[name] and model[to_one][row[name]] } end
    local inverse = (many[row.entity] or {})[name]
    if inverse then
        for _, other in ipairs(model[inverse[1]]) do
            if other[inverse[2]] == row.id then list[#list + 1] = other end
        end
        return list
    end
    local entry = pairs_of[row.entity][name]
    local target, relation, side = entry[1], entry[2], entry[3]
    for _, pair in ipairs(model.pairs[relation]) do
        if pair[side] == row.id then list[#list + 1] = model[target][pair[3 - side]] end
    end
    if relation ~= "friends" then table.sort(list, function(a, b) return a.id < b.id end) end
    return list
end

local function target_of(entity, name)
    local entry = (many[entity] or {})[name] or (pairs_of[entity] or {})[name]
    return entry and entry[1] or foreign[entity][name]
end

-- Trees ----------------------------------------------------------------------------------------------------

-- A filter, and what the model makes of it.
local function condition(random, entity)
    local k = random(3)
    local list = {
        function() return { n = k }, function(_, row) return row.n == k end end,
        function() return { n = op.gt(k) }, function(_, row) return row.n ~= nil and row.n > k end end,
        function() return { n = orm.null }, function(_, row) return row.n == nil end end,
        function() return op.any { { n = orm.null }, { id = op.lte(k) } }, function(_, row)
            return row.n == nil or row.id <= k
        end end,
        function() return { id = op.ne(k) }, function(_, row) return row.id ~= k end end,
    }
    if foreign[entity] then
        local name = next(foreign[entity])
        list[#list + 1] = function()
            return { [name] = { n = k } }, function(model, row)
                local to = row[name] and model.Author[row[name]]
                return to ~= nil and to.n == k
            end
        end
    end
    return list[random(#list)]()
end

local function sorted_by(random)
    local down = random(2) == 1
    local last = random(2) == 1
    return { ("n %s nulls %s"):format(down and "desc" or "asc", last and "last" or "first"), "id desc" },
        function(a, b)
            if a.n == b.n then return a.id > b.id end
            if a.n == nil then return not last end
            if b.n == nil then return last end
            if down then return a.n > b.n end
            return a.n < b.n
        end
end

local function is_one(entity, name)
    return name == "card" or foreign[entity] and foreign[entity][name] ~= nil
end

local function options_of(random, entity, name)
    local entry, want, target = {}, {}, target_of(entity, name)
    if random(2) == 1 then entry.where, want.where = condition(random, target) end
    if not is_one(entity, name) then
        if random(3) == 1 then entry.order_by, want.order = sorted_by(random) end
        if random(3) == 1 then entry.limit = random(4) - 1 end
        if random(4) == 1 then entry.offset = random(3) - 1 end
        want.limit, want.offset = entry.limit, entry.offset
    end
    if random(4) == 1 then entry.fields = { "n" } end
    return entry, want
end

-- A tree as populate takes it, and as the model reads it. Each relation stands in it once: no collection is asked
-- for in two ways.
local function tree_of(random, entity, used, depth)
    local entries, wants = {}, {}
    for _ = 1, depth > 3 and 0 or random(3) - (depth > 1 and 1 or 0) do
        local name = relations[entity][random(#relations[entity])]
        if not used[entity .. name] then
            used[entity .. name] = true
            local entry, want = options_of(random, entity, name)
            entry.populate, want.below = tree_of(random, target_of(entity, name), used, depth + 1)
            if random(2) == 1 then
                entries[name] = entry
            else
                entry[1] = name
                table.insert(entries, entry)
            end
            wants[name] = want
        end
    end
    return entries, wants
end

local function shown(model, row, name, want)
    local list = {}
    for _, other in ipairs(members(model, row, name)) do
        if not want.where or want.where(model, other) then list[#list + 1] = other end
    end
    if want.order then table.sort(list, want.order) end
    local left = {}
    for i = 1 + (want.offset or 0), math.min(#list, (want.offset or 0) + (want.limit or #list)) do
        left[#left + 1] = list[i]
    end
    return left
end

local check

local function check_relation(model, row, e, name, want, path)
    local list = shown(model, row, name, want)
    path = path .. "." .. name
    if not is_one(row.entity, name) then
        local found = e[name]
        assert.is_true(found:is_initialized(), path)
        local ids, expected, by_id = {}, {}, {}
        for i, member in found:iter() do ids[i], by_id[member.id] = member.id, member end
        for i, other in ipairs(list) do expected[i] = other.id end
        if not (want.where or want.order or want.limit or want.offset) then
            -- Whole it may have been before, in an order that was asked for then.
            table.sort(ids)
            table.sort(expected)
        end
        assert.same(expected, ids, path)
        for _, other in ipairs(list) do check(model, other, by_id[other.id], want.below, path) end
    elseif list[1] then
        assert.equal(list[1].id, e[name].id, path)
        check(model, list[1], e[name], want.below, path)
    elseif foreign[row.entity] and foreign[row.entity][name] then
        assert.equal(row[name], e[name] and e[name].id, path)
    else
        assert.is_nil(e[name], path)
    end
end

function check(model, row, e, wants, path)
    assert.equal(row.id, e.id, path)
    assert.equal(row.n, e.n, path)
    for name, want in pairs(wants) do check_relation(model, row, e, name, want, path) end
end

-- Changes --------------------------------------------------------------------------------------------------

local function relate(model, row, name, other, is_member)
    local inverse = (many[row.entity] or {})[name]
    if inverse then
        if is_member then other[inverse[2]] = row.id
        elseif other[inverse[2]] == row.id then other[inverse[2]] = nil end
        return
    end
    local relation, side = pairs_of[row.entity][name][2], pairs_of[row.entity][name][3]
    local list = model.pairs[relation]
    for i, pair in ipairs(list) do
        if pair[side] == row.id and pair[3 - side] == other.id then
            if not is_member then table.remove(list, i) end
            return
        end
    end
    if is_member then table.insert(list, side == 1 and { row.id, other.id } or { other.id, row.id }) end
end

local collections = { { "Author", "pupils" }, { "Author", "books" }, { "Author", "friends" }, { "Author", "fans" },
    { "Book", "tags" }, { "Tag", "books" } }

-- One change of a collection, in memory and in the model.
local function change(random, model, em)
    local picked = collections[random(#collections)]
    local entity, name = picked[1], picked[2]
    local target = target_of(entity, name)
    local row, others, instances = model[entity][random(#model[entity])], {}, {}
    for i = 1, random(3) do
        others[i] = model[target][random(#model[target])]
        instances[i] = em:find_one(class[target], others[i].id, { flush_mode = "commit" })
    end
    local list = em:find_one(class[entity], row.id, { flush_mode = "commit" })[name]
    local what = random(7)
    if what <= 3 then
        list:add(instances)
        for _, other in ipairs(others) do relate(model, row, name, other, true) end
    elseif what <= 5 then
        list:remove(instances)
        for _, other in ipairs(others) do relate(model, row, name, other, false) end
    else
        if what == 6 then list:set(instances) else list:remove_all() end
        for _, other in ipairs(members(model, row, name)) do relate(model, row, name, other, false) end
        for _, other in ipairs(what == 6 and others or {}) do relate(model, row, name, other, true) end
    end
end

local function copy(value)
    if type(value) ~= "table" then return value end
    local made = {}
    for key, item in pairs(value) do made[key] = copy(item) end
    return made
end

local function text_of_model(model)
    local list = {}
    local function add(...) list[#list + 1] = table.concat({ ... }, " ") end
    for _, row in ipairs(model.Author) do add("a", row.id, tostring(row.mentor)) end
    for _, row in ipairs(model.Book) do add("b", row.id, tostring(row.author)) end
    for name, pairs_ in pairs(model.pairs) do
        for _, pair in ipairs(pairs_) do add(name, pair[1], pair[2]) end
    end
    table.sort(list)
    return table.concat(list, "\n")
end

local function text_of_tables(raw)
    local list = {}
    for prefix, sql in pairs { a = "select id, mentor_id from authors", b = "select id, author_id from books",
        friends = "select author_1_id, author_2_id from authors_friends",
        tags = "select book_id, tag_id from books_tags" } do
        for _, row in ipairs(raw:rows(sql)) do
            list[#list + 1] = ("%s %s %s"):format(prefix, row[1], row[2] or "nil")
        end
    end
    table.sort(list)
    return table.concat(list, "\n")
end

local function each_seed(body)
    for seed = first_seed, last_seed do
        local ok, err = pcall(body, seed, chance.generator(seed))
        if not ok then error(("HEDDLE_SEED=%d: %s"):format(seed, tostring(err)), 0) end
    end
end

databases.each(function(db)
    describe("populate at random", function()
        local work

        after_each(function()
            orm.close()
            db:close()
        end)

        local function open(model)
            orm.close()
            db:close()
            work = unit.open(db, { Author, Book, Tag, Card })
            for _, sql in ipairs(sql_of(model)) do work.raw:exec(sql) end
        end

        it("Q3: loads what the model says, managed or not, at once or afterwards, again and again", function()
            each_seed(function(_, random)
                local model = make(random)
                open(model)
                local kept = work.em:fork()
                for round = 1, 12 do
                    local name = ({ "Author", "Book", "Tag", "Card" })[random(4)]
                    local entries, wants = tree_of(random, name, {}, 1)
                    local em = random(2) == 1 and kept or work.em:fork()
                    local opts = { order_by = { "id" }, populate = entries, managed = random(3) > 1 }
                    local list
                    if random(3) == 1 then
                        opts.managed, opts.populate = true, nil
                        list = em:load(em:find(class[name], {}, opts), entries)
                    else
                        list = em:find(class[name], {}, opts)
                    end
                    assert.equal(#model[name], #list)
                    for i, row in ipairs(model[name]) do check(model, row, list[i], wants, round .. ": " .. name) end
                    work:forget()
                    em:flush()
                    assert.equal(0, #work.log, "a flush wrote something")
                end
                assert.equal(text_of_model(model), text_of_tables(work.raw))
            end)
        end)

        it("U1, F1: no change of a collection loses or deletes what it did not show", function()
            each_seed(function(_, random)
                local model = make(random)
                open(model)
                local em = work.em:fork()
                local function step(current)
                    for _ = 1, random(4) do
                        if random(3) == 1 then
                            local name = ({ "Author", "Book", "Tag" })[random(3)]
                            em:find(class[name], {}, { populate = (tree_of(random, name, {}, 2)),
                                flush_mode = random(2) == 1 and "commit" or nil })
                        else
                            change(random, current, em)
                        end
                    end
                    if random(3) == 1 then em:flush() end
                end
                for round = 1, 10 do
                    if random(3) == 1 then
                        local own = copy(model)
                        local ok, err = pcall(em.transactional, em, function()
                            step(own)
                            if random(2) == 1 then em:flush() end
                            if random(2) == 1 then error("rolled back", 0) end
                        end)
                        if ok then model = own else assert.equal("rolled back", err) end
                    else
                        step(model)
                    end
                    if random(2) == 1 then
                        em:flush()
                        assert.equal(text_of_model(model), text_of_tables(work.raw), "round " .. round)
                        work:forget()
                        em:flush()
                        assert.equal(0, #work.log, "a second flush wrote something")
                    end
                    if random(6) == 1 then
                        em:flush()
                        em:clear()
                    end
                end
                em:flush()
                assert.equal(text_of_model(model), text_of_tables(work.raw))
            end)
        end)
    end)
end)
