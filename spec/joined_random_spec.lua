-- Q3, I1 by chance: whatever is populated, from whatever rows, the strategies give the same graph of instances, of an
-- entity manager and of nobody, and a joined query is one statement. HEDDLE_SEED runs one seed, HEDDLE_RUNS more.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local graph = require "spec.support.graph"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op = orm.op

local id = { "id", type = "integer", primary = true }

local Address = orm.embeddable { name = "Address", { "street", type = "string", nullable = true },
    { "no", type = "integer", nullable = true } }
local Place = orm.entity {
    name = "Place", table = "places", { "code", type = "string", primary = true },
    { "name", type = "string", nullable = true }, { "people", one_to_many = "Author", mapped_by = "home" },
    { "guests", many_to_many = "Author", mapped_by = "visits" },
    filters = { named = { cond = { name = op.not_null() } } },
}
local Author = orm.entity {
    name = "Author", table = "authors", id, { "name", type = "string" }, { "rank", type = "integer", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "address", embedded = Address, nullable = true },
    { "home", many_to_one = "Place", nullable = true },
    { "boss", many_to_one = "Author", nullable = true }, { "team", one_to_many = "Author", mapped_by = "boss" },
    { "books", one_to_many = "Book", mapped_by = "author", order_by = { "title desc" } },
    { "edited", one_to_many = "Book", mapped_by = "editor" },
    { "items", one_to_many = "Item", mapped_by = "owner" },
    { "profile", one_to_one = "Profile", mapped_by = "author" },
    { "friends", many_to_many = "Author" }, { "fans", many_to_many = "Author", mapped_by = "friends" },
    { "visits", many_to_many = "Place", pivot_entity = "Visit" },
    filters = { ranked = { cond = { rank = op.not_null() } } },
}
local Visit = orm.entity {
    name = "Visit", table = "visits", id, { "author", many_to_one = "Author" }, { "place", many_to_one = "Place" },
}
local Profile = orm.entity {
    name = "Profile", table = "profiles", { "author", one_to_one = "Author", primary = true },
    { "site", type = "string", nullable = true },
}
-- A composite key.
local Book = orm.entity {
    name = "Book", table = "books", { "lang", type = "string", primary = true },
    { "no", type = "integer", primary = true },
    { "title", type = "string", nullable = true },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "text", type = "text", nullable = true, lazy = true }, { "data", type = "json", nullable = true },
    { "author", many_to_one = "Author", nullable = true }, { "editor", many_to_one = "Author", nullable = true },
    { "tags", many_to_many = "Tag" }, { "lists", many_to_many = "List", mapped_by = "books" },
}
local Tag = orm.entity {
    name = "Tag", table = "tags", { "name", type = "string", primary = true }, { "weight", type = "integer" },
    { "books", many_to_many = "Book", mapped_by = "tags", order_by = { "author.name desc nulls last", "title" } },
}
local List = orm.entity {
    name = "List", table = "lists", id, { "books", many_to_many = "Book", fixed_order = true },
}
-- Entities that share a table.
local Item = orm.entity {
    name = "Item", table = "items", discriminator_column = "kind", id,
    { "owner", many_to_one = "Author", nullable = true }, { "next", many_to_one = "Item", nullable = true },
}
local Novel = orm.entity {
    name = "Novel", extends = Item, { "pages", type = "integer", nullable = true },
    { "of", many_to_one = "Author", nullable = true },
}
local Comic = orm.entity {
    name = "Comic", extends = Item, { "sequel", many_to_one = "Comic", nullable = true },
    { "prequels", one_to_many = "Comic", mapped_by = "sequel" },
}

local entities = { Place, Author, Visit, Profile, Book, Tag, List, Item, Novel, Comic }

-- Rows -----------------------------------------------------------------------------------------------------

local function maybe(random, value)
    if random(3) > 1 then return value end
end

local function any(random, list)
    if #list > 0 then return list[random(#list)] end
end

local function some(random, list, most)
    local found, taken = {}, {}
    for _ = 1, random(most + 1) - 1 do
        local e = any(random, list)
        if e and not taken[e] then
            taken[e] = true
            found[#found + 1] = e
        end
    end
    return found
end

local function make(em, class, count, values)
    local list = {}
    for i = 1, count do list[i] = em:create(class, values(i, list)) end
    return list
end

local function fill(em, random)
    local places = make(em, Place, random(4), function(i)
        return { code = "p" .. i, name = maybe(random, "place " .. random(3)) }
    end)
    local authors = make(em, Author, random(7), function(_, list)
        return { name = "author " .. random(4), rank = maybe(random, random(3)), secret = maybe(random, "s"),
            address = maybe(random, { street = maybe(random, "street " .. random(3)), no = random(9) }),
            home = maybe(random, any(random, places)), boss = maybe(random, any(random, list)) }
    end)
    for _, author in ipairs(authors) do
        if random(2) == 1 then em:persist(em:create(Profile, { author = author, site = maybe(random, "site") })) end
        author.friends = some(random, authors, 4)
        for _, place in ipairs(some(random, places, 3)) do
            for _ = 1, random(2) do em:persist(em:create(Visit, { author = author, place = place })) end
        end
    end
    local tags = make(em, Tag, random(5), function(i) return { name = "tag " .. i, weight = random(3) } end)
    local books = make(em, Book, random(12), function(i)
        return { lang = random(2) == 1 and "de" or "en", no = i, title = maybe(random, "title " .. random(4)),
            price = maybe(random, random(20) .. ".50"), text = maybe(random, "text"),
            data = maybe(random, { n = random(3) }), author = maybe(random, any(random, authors)),
            editor = maybe(random, any(random, authors)), tags = some(random, tags, 4) }
    end)
    for _ = 1, random(3) do em:persist(em:create(List, { books = some(random, books, 5) })) end
    local comics, items = {}, {}
    for i = 1, random(8) do
        local class = any(random, { Item, Novel, Comic })
        local item = em:create(class, { owner = maybe(random, any(random, authors)),
            next = maybe(random, any(random, items)) })
        if class == Novel then item.of, item.pages = maybe(random, any(random, authors)), maybe(random, random(99)) end
        if class == Comic then
            item.sequel = maybe(random, any(random, comics))
            comics[#comics + 1] = item
        end
        items[i] = item
    end
    for _, list in ipairs({ places, authors, tags, books, items }) do
        for _, e in ipairs(list) do em:persist(e) end
    end
    em:flush()
end

-- Queries --------------------------------------------------------------------------------------------------

local relations = {
    Place = { "people", "guests" }, Profile = { "author" }, Visit = { "author", "place" }, List = { "books" },
    Author = { "home", "boss", "team", "books", "edited", "items", "profile", "friends", "fans", "visits" },
    Book = { "author", "editor", "tags", "lists" }, Tag = { "books" }, Item = { "owner", "next" },
    Novel = { "owner", "next", "of" }, Comic = { "owner", "next", "sequel", "prequels" },
}
local conditions = {
    Place = { function() return { name = op.not_null() } end, function() return { code = op.ne "p1" } end },
    Author = {
        function(random) return { rank = op.gte(random(3)) } end,
        function(random) return { home = { name = "place " .. random(3) } } end,
        function(random) return { books = op.some { title = "title " .. random(4) } } end,
        function(random) return { address = { street = "street " .. random(3) } } end,
        function(random) return op.any { { name = "author " .. random(4) }, { boss = orm.null } } end,
        function(random) return op.raw("e0.name <> ?", "author " .. random(4)) end,
        function(random) return { rank = op.raw("e0.rank + ? - 1", random(2)) } end,
    },
    Book = {
        function(random) return { price = op.lt(random(20) .. ".00") } end,
        function(random) return { author = { name = "author " .. random(4) } } end,
        function(random) return { author = { home = { name = "place " .. random(3) } }, lang = "de" } end,
        function(random) return { tags = op.none { weight = random(3) } } end,
    },
    Tag = { function(random) return { weight = op.ne(random(3)) } end },
    Item = { function(random) return { owner = { rank = random(3) } } end },
    Comic = { function() return { sequel = orm.null } end },
    Profile = { function() return { site = "site" } end },
}
local orders = {
    Place = { "name", "code desc" }, Author = { "name desc", "home.name nulls first", "rank", "boss.name" },
    Book = { "price desc", "author.name", "title nulls first" }, Tag = { "weight desc" }, Item = { "owner.name desc" },
    Comic = { "id desc" }, Novel = { "pages" },
}
local keys = { Place = { "code" }, Profile = { "author" }, Book = { "lang", "no" }, Tag = { "name" } }
local fields = {
    Author = { { "name" }, { "rank", "address" }, { "secret" } },
    Book = { { "title" }, { "text", "author" }, { "data" } },
    Tag = { { "weight" } }, Place = { { "name" } }, Novel = { { "pages" } },
}

local function condition(random, name)
    local list = conditions[name]
    return list and list[random(#list)](random)
end

local function order(random, name)
    local list, terms = orders[name] or {}, {}
    for _ = 1, random(2) do terms[#terms + 1] = any(random, list) end
    for _, key in ipairs(keys[name] or { "id" }) do terms[#terms + 1] = key end
    return terms
end

local function target_of(name, relation)
    local metadata
    for _, class in ipairs(entities) do
        metadata = orm.metadata(class).name == name and orm.metadata(class) or metadata
    end
    local prop = metadata.by_name[relation]
    return type(prop.target) == "string" and prop.target or orm.metadata(prop.target).name, prop.kind
end

-- What is asked of a relation: the same wherever a query has it, since a collection is read once. `mixed`: for limits
-- too, which no join has.
local function asked(random, query, name, relation)
    local key = name .. "." .. relation
    local made = query.asked[key]
    if made then return made end
    local target, kind = target_of(name, relation)
    local is_many = kind == "one_to_many" or kind == "many_to_many"
    made = { target = target }
    query.asked[key] = made
    -- Where statements are mixed, what is joined is there before what is not, and instances of nobody may lead to it
    -- though a condition hides it.
    if random(4) == 1 and (is_many or not query.mixed) then made.where = condition(random, target) end
    if is_many and random(4) == 1 then made.order_by = order(random, target) end
    if query.mixed and is_many and random(8) == 1 then made.limit = random(2) end
    return made
end

local function entries(random, query, name, depth)
    local list, taken = {}, {}
    for _ = 1, random(depth) do
        local relation = any(random, relations[name])
        if relation and not taken[relation] then
            taken[relation] = true
            local options = asked(random, query, name, relation)
            local target = options.target
            local entry = { relation, where = options.where, order_by = options.order_by, limit = options.limit }
            if random(6) == 1 then entry.fields = any(random, fields[target] or {}) end
            if query.mixed and random(5) == 1 then entry.strategy = any(random, { "joined", "select_in" }) end
            if depth > 1 and random(3) > 1 then entry.populate = entries(random, query, target, depth - 1) end
            list[#list + 1] = entry
        end
    end
    return list
end

local function query(random, mixed)
    local class = entities[random(#entities)]
    local name = orm.metadata(class).name
    local opts = { order_by = order(random, name) }
    opts.populate = entries(random, { mixed = mixed, asked = {} }, name, 3)
    if random(3) == 1 then opts.limit = random(4) end
    if random(5) == 1 then opts.offset = random(3) - 1 end
    if random(6) == 1 then opts.fields = any(random, fields[name] or {}) end
    local filters = { { "named" }, { "ranked" }, { "named", "ranked" } }
    if random(5) == 1 and not mixed then opts.filters = any(random, filters) end
    return class, random(2) == 1 and condition(random, name) or {}, opts
end

local function with(opts, more)
    local made = {}
    for name, value in pairs(opts) do made[name] = value end
    for name, value in pairs(more) do made[name] = value end
    return made
end

-- What a strategy gives, and the number of its statements.
local function run(work, class, where, opts)
    local em = work:fork()
    work:forget()
    local list = em:find(class, where, opts)
    return graph.text(list), #work:statements(), em
end

local function check(work, class, where, opts, mixed)
    for _, is_managed in ipairs({ true, false }) do
        local given = with(opts, { managed = is_managed })
        local expected = run(work, class, where, with(given, { strategy = "select_in" }))
        local found, count, em = run(work, class, where, with(given, { strategy = "joined" }))
        assert.equal(expected, found)
        if not mixed then assert.equal(1, count) end
        work:forget()
        em:flush()
        assert.same({}, work:statements())
    end
end

-- What memory has already -----------------------------------------------------------------------------------

local changes = {
    function(random, e) e.rank = random(9) end,
    function(random, e, all) e.boss = maybe(random, any(random, all)) end,
    function(random, e, all) e.friends:add(any(random, all)) end,
    function(random, e, all) e.friends:remove(any(random, all)) end,
    function(random, e, all) e.team:add(any(random, all)) end,
    function(random, e, all) e.fans:remove(any(random, all)) end,
    function(_, e) e.friends = {} end,
    function(random, e) e.secret = "s" .. random(3) end,
    function(_, e, _, em) em:create("Author", { name = "new", boss = e }) end,
    function(_, e, _, em) em:persist(em:create("Author", { name = "new", friends = { e } })) end,
    function(_, e, all, em) if #all > 3 then em:remove(e) end end,
}

-- The same work for the same numbers.
local function warm(em, random)
    for _ = 1, random(3) do
        local class, where, opts = query(random, true)
        em:find(class, where, with(opts, { strategy = "select_in" }))
    end
    local all = em:find(Author, {}, { order_by = { "id" }, fields = random(2) == 1 and { "name" } or nil })
    for _ = 1, random(4) do
        local e = any(random, all)
        if em:contains(e) then changes[random(#changes)](random, e, all, em) end
    end
end

-- What is written; sequences give no key twice.
local ID = "case when a.name = 'new' then 0 else a.id end as one"
local AUTHORS = "select " .. ID .. ", name, rank, secret, home_code, boss_id from authors a order by 1, boss_id"
local FRIENDS = "select " .. ID .. ", author_2_id as two from authors_friends join authors a on a.id = author_1_id "
    .. "order by 1, 2"

-- What a strategy gives to an entity manager that has something already, what this one writes then, and what is left
-- when all of it is rolled back.
local function run_warm(work, seed, strategy, about)
    local em, random = work:fork(), chance.generator(seed)
    warm(em, random)
    local class, where, opts = query(random, false)
    opts = with(opts, { strategy = strategy, flush_mode = "commit", refresh = random(4) == 1 })
    about[1], about[2], about[3] = orm.metadata(class).name, where, opts
    local transaction = em:begin()
    local list = em:find(class, where, opts)
    local function is_here(e) return em:contains(e) end
    local found = graph.along(list, opts, is_here)
    local ok, err = pcall(em.flush, em)
    local written = ok and graph.show(em:execute(AUTHORS)) .. graph.show(em:execute(FRIENDS))
    transaction:rollback()
    return found, ok and written or err.kind, graph.along(list, opts, is_here)
end

local function check_warm(work, seed, about)
    local a, written_a, after_a = run_warm(work, seed, "select_in", about)
    local b, written_b, after_b = run_warm(work, seed, "joined", about)
    assert.equal(a, b)
    assert.equal(written_a, written_b)
    assert.equal(after_a, after_b)
end

local first, last = chance.range(12)

databases.each(function(db)
    describe("joined and select_in", function()
        local work

        -- Calls fn(random, number) for some queries on the rows of each seed.
        local function each_query(count, fn)
            for seed = first, last do
                local random = chance.generator(seed)
                work = unit.open(db, entities)
                fill(work:fork(), random)
                for number = 1, count do
                    local about = {}
                    local ok, err = pcall(fn, random, number, about, seed)
                    if not ok then
                        error(("seed %d, query %d %s: %s"):format(seed, number, graph.show(about),
                            type(err) == "table" and tostring(err.message or err) or tostring(err)), 0)
                    end
                end
                work:close()
                db:close()
            end
        end

        after_each(function()
            orm.close()
            db:close()
        end)

        it("Q3: give the same graph of instances, one statement for all of it when joined", function()
            each_query(30, function(random, number, about)
                local mixed = number % 3 == 0
                local class, where, opts = query(random, mixed)
                about[1], about[2] = orm.metadata(class).name, opts
                check(work, class, where, opts, mixed)
            end)
        end)

        it("I3, I5: give the same graph where something is in memory already, and keep what was changed", function()
            each_query(15, function(_, number, about, seed)
                about.warm = seed * 1000 + number
                check_warm(work, about.warm, about)
            end)
        end)
    end)
end)
