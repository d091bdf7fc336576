-- em:query by chance: random chains and, written beside them, the SQL that they stand for. Rows, entities, counts and
-- groups have to be what the database says to that SQL on a connection of its own.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local library = require "spec.support.library"
local orm = require "heddle"

local op = orm.op
local ROUNDS = 120

local tables = {
    Author = { table = "authors", key = "id", text = "name", number = "id",
        relations = { books = "Book", edited = "Book", profile = "Profile", friends = "Author", fans = "Author" } },
    Book = { table = "books", key = "id", text = "title", number = "id",
        relations = { author = "Author", editor = "Author", tags = "Tag" } },
    Tag = { table = "tags", key = "name", text = "name", number = "weight", relations = { books = "Book" } },
    Profile = { table = "profiles", key = "author", text = "site", number = "author",
        relations = { author = "Author" } },
}

-- How a relation is tied in SQL: a condition, or a pivot table with its two.
local ties = {
    ["Author.books"] = "%2.author_id = %1.id", ["Author.edited"] = "%2.editor_id = %1.id",
    ["Author.profile"] = "%2.author_id = %1.id",
    ["Author.friends"] = { "authors_friends", "%p.author_1_id = %1.id", "%2.id = %p.author_2_id" },
    ["Author.fans"] = { "authors_friends", "%p.author_2_id = %1.id", "%2.id = %p.author_1_id" },
    ["Book.author"] = "%2.id = %1.author_id", ["Book.editor"] = "%2.id = %1.editor_id",
    ["Book.tags"] = { "books_tags", "%p.book_id = %1.id", "%2.name = %p.tag_name" },
    ["Tag.books"] = { "books_tags", "%p.tag_name = %1.name", "%2.id = %p.book_id" },
    ["Profile.author"] = "%2.id = %1.author_id",
}

local columns = { author = "author_id", editor = "editor_id" }

databases.each(function(db)
    describe("random queries", function()
        local work, em

        setup(function()
            work = library.open(db)
            em = work.em
            if db.name == "sqlite" then work.raw:exec "pragma case_sensitive_like = on" end
            for i = 4, 12 do
                work.raw:exec(("insert into authors (id, name) values (%d, '%s')"):format(i, ("n"):rep(i % 3 + 1)))
            end
            for i = 4, 12 do
                work.raw:exec(("insert into books (id, title, author_id, editor_id) values (%d, 't%d', %s, %s)")
                    :format(i + 10,
                    i % 4, i % 3 == 0 and "null" or i % 5 + 1, i % 4 == 0 and "null" or i % 7 + 1))
                work.raw:exec(("insert into books_tags (book_id, tag_name) values (%d, '%s')"):format(i + 10,
                    ({ "lua", "c", "sql" })[i % 3 + 1]))
                work.raw:exec(("insert into authors_friends (author_1_id, author_2_id) values (%d, %d)")
                    :format(i, i % 4 + 1))
            end
        end)

        teardown(function()
            work:close()
            db:close()
        end)

        local function pick(list) return list[math.random(#list)] end

        local function names_of(map)
            local list = {}
            for name in pairs(map) do list[#list + 1] = name end
            table.sort(list)
            return list
        end

        local function column(alias, name) return alias .. "." .. (columns[name] or name) end

        -- A comparison of one property: a value of a filter, and SQL.
        local function comparison(about, alias)
            local kind = math.random(8)
            if kind <= 4 then
                local name, n = about.number, math.random(0, 15)
                local sign = pick { "=", "<>", ">", ">=", "<", "<=" }
                local word = ({ ["="] = "eq", ["<>"] = "ne", [">"] = "gt", [">="] = "gte", ["<"] = "lt",
                    ["<="] = "lte" })[sign]
                if name == "author" then sign, word = "=", "eq" end
                return name, op[word](n), ("%s %s %d"):format(column(alias, name), sign, n)
            elseif kind == 5 then
                local name = about == tables.Book and pick { "author", "editor" } or about.key
                if math.random(2) == 1 then return name, op.is_null(), column(alias, name) .. " is null" end
                return name, op.not_null(), column(alias, name) .. " is not null"
            elseif kind == 6 then
                local list = pick { { "lua", "nn" }, { "A1" }, { "t1", "t2", "Ann" } }
                return about.text, op.one_of(list), ("%s in ('%s')"):format(column(alias, about.text),
                    table.concat(list, "', '"))
            elseif kind == 7 then
                local pattern = pick { "A%", "%n", "t_", "%" }
                return about.text, op.like(pattern), ("%s like '%s'"):format(column(alias, about.text), pattern)
            end
            local list = "select author_id from books where author_id is not null and id > 3"
            local sub = em:query(library.Book):select("author"):where { id = op.gt(3) }
            if about ~= tables.Author then
                return about.text, op.not_one_of { "zz" }, ("%s not in ('zz')"):format(column(alias, about.text))
            elseif math.random(2) == 1 then
                return "id", op.one_of(sub), ("%s.id in (%s)"):format(alias, list)
            end
            return "id", op.not_one_of(sub), ("%s.id not in (%s)"):format(alias, list)
        end

        -- A condition over what is joined so far: a filter with names behind aliases, and SQL.
        local function condition(sources, depth)
            local kind = math.random(depth > 0 and 7 or 4)
            local source = pick(sources)
            if kind <= 3 then
                local name, value, sql = comparison(source.about, source.alias)
                return { [source.alias .. "." .. name] = value }, sql
            elseif kind == 4 then
                if source.name == "Author" then
                    local inner = em:query(library.Book, "z"):where { author = op.ref(source.alias .. ".id"),
                        id = op.lt(14) }
                    local sql = ("exists (select 1 from books z where z.author_id = %s.id and z.id < 14)")
                        :format(source.alias)
                    if math.random(2) == 1 then return op.some(inner), sql end
                    return op.none(inner), "not " .. sql
                end
                local other = pick(sources)
                return op.raw(("%s.%s <> %s.%s"):format(source.alias, source.about.text, other.alias,
                    other.about.text)),
                    ("%s.%s <> %s.%s"):format(source.alias, source.about.text, other.alias, other.about.text)
            elseif kind == 5 then
                local cond, sql = condition(sources, depth - 1)
                return op.negate(cond), "not (" .. sql .. ")"
            end
            local list, texts = {}, {}
            for i = 1, math.random(2, 3) do list[i], texts[i] = condition(sources, depth - 1) end
            if kind == 6 then return op.any(list), "(" .. table.concat(texts, " or ") .. ")" end
            return op.all(list), "(" .. table.concat(texts, " and ") .. ")"
        end

        local function tied(text, outer, inner, pair)
            return (text:gsub("%%1", outer):gsub("%%2", inner):gsub("%%p", pair or ""))
        end

        local function add_join(made)
            local from = pick(made.sources)
            local relation = pick(names_of(from.about.relations))
            local target = from.about.relations[relation]
            local alias, pair = "s" .. #made.sources, "p" .. #made.sources
            local about, tie = tables[target], ties[from.name .. "." .. relation]
            local left = math.random(3) > 1
            local source = { alias = alias, about = about, name = target }
            local cond, sql
            if math.random(3) == 1 then
                local name, value, text = comparison(about, alias)
                cond, sql = { [name] = value }, " and " .. text
            end
            made.query[left and "left_join" or "join"](made.query, from.alias .. "." .. relation, alias,
                cond or op.raw "1 = 1")
            local word = left and " left join " or " join "
            if type(tie) == "string" then
                made.sql = made.sql .. word .. about.table .. " " .. alias .. " on " .. tied(tie, from.alias, alias)
            else
                made.sql = ("%s%s(%s %s join %s %s on %s) on %s"):format(made.sql, word, tie[1], pair, about.table,
                    alias,
                    tied(tie[3], from.alias, alias, pair), tied(tie[2], from.alias, alias, pair))
            end
            made.sql = made.sql .. (sql or "")
            made.sources[#made.sources + 1] = source
        end

        local function begin()
            local name = pick { "Author", "Book", "Tag", "Profile" }
            local made = { sources = { { alias = "s", about = tables[name], name = name } },
                query = em:query(library[name], "s"), sql = " from " .. tables[name].table .. " s" }
            for _ = 1, math.random(0, 3) do add_join(made) end
            local where = {}
            for i = 1, math.random(0, 2) do
                local cond, sql = condition(made.sources, 2)
                made.query:where(cond)
                where[i] = sql
            end
            made.where = #where > 0 and " where " .. table.concat(where, " and ") or ""
            return made
        end

        local function add_order(made)
            local terms = {}
            local source = pick(made.sources)
            if math.random(3) > 1 then
                local name, descending = pick { source.about.text, source.about.number }, math.random(2) == 1
                local first = math.random(2) == 1
                made.query:order_by(source.alias .. "." .. name .. (descending and " desc" or "")
                    .. (first and " nulls first" or " nulls last"))
                terms[1] = column(source.alias, name) .. (descending and " desc" or "")
                    .. (first and " nulls first" or " nulls last")
            end
            for _, each in ipairs(made.sources) do
                made.query:order_by(each.alias .. "." .. each.about.key)
                terms[#terms + 1] = column(each.alias, each.about.key) .. " nulls last"
            end
            made.order = " order by " .. table.concat(terms, ", ")
        end

        local function text(value)
            if type(value) == "number" then return ("%d"):format(value) end
            return value == nil and "-" or tostring(value)
        end

        local function raw_rows(sql)
            local list = {}
            for i, row in ipairs(work.raw:rows(sql)) do
                for k, value in ipairs(row) do row[k] = value or "-" end
                list[i] = table.concat(row, " ")
            end
            return list
        end

        local function keys(made)
            local items, list = {}, {}
            for i, source in ipairs(made.sources) do
                items["k" .. i], list[i] = source.alias .. "." .. source.about.key, column(source.alias,
                    source.about.key)
            end
            return items, table.concat(list, ", ")
        end

        local function check_rows(made, why)
            local items, list = keys(made)
            local found = {}
            local limit, offset = math.random(0, 9), math.random(0, 4)
            local query = made.query:clone():select(items)
            for i, row in ipairs(query:rows()) do
                local parts = {}
                for k = 1, #made.sources do parts[k] = text(row["k" .. k]) end
                found[i] = table.concat(parts, " ")
            end
            local expected = raw_rows("select " .. list .. made.sql .. made.where .. made.order)
            assert.same(expected, found, why)
            local part = raw_rows(("select %s%s%s%s limit %d offset %d"):format(list, made.sql, made.where,
                made.order, limit,
                offset))
            assert.equal(#part, #query:clone():limit(limit):offset(offset):rows(), why)
            return expected
        end

        -- Each entity once, where its first row stands.
        local function check_entities(made, rows, why)
            local seen, expected, found = {}, {}, {}
            for _, row in ipairs(rows) do
                local key = row:match "^%S+"
                if not seen[key] then expected[#expected + 1] = key end
                seen[key] = true
            end
            local function key_of(e)
                local key = e[made.sources[1].about.key]
                return text(type(key) == "table" and key.id or key)
            end
            for i, e in ipairs(made.query:all()) do found[i] = key_of(e) end
            assert.same(expected, found, why)
            assert.equal(#expected, made.query:count(), why)
            local limit, offset, part = math.random(0, 4), math.random(0, 3), {}
            for i, e in ipairs(made.query:clone():limit(limit):offset(offset):all()) do part[i] = key_of(e) end
            assert.same({ (table.unpack or unpack)(expected, offset + 1, math.min(#expected, offset + limit)) },
                part, why)
            local one = made.query:one()
            assert.equal(expected[1], one and key_of(one), why)
        end

        local function check_groups(made, why)
            local first, last = made.sources[1], made.sources[#made.sources]
            local key, counted = column(first.alias, first.about.key), column(last.alias, last.about.key)
            local least, found = math.random(0, 2), {}
            local query = made.query:clone():select { k = first.alias .. "." .. first.about.key,
                n = orm.fn.count(last.alias .. "." .. last.about.key), d = orm.fn.count_distinct(last.alias .. "."
                .. last.about.key), most = orm.fn.max(last.alias .. "." .. last.about.text) }
                :group_by(first.alias .. "." .. first.about.key):having { n = op.gte(least) }
            query.orders = {}
            for i, row in ipairs(query:order_by("k"):rows()) do
                found[i] = table.concat({ text(row.k), text(row.n), text(row.d), text(row.most) }, " ")
            end
            local sql = ("%s%s group by %s having count(%s) >= %d"):format(made.sql, made.where, key, counted, least)
            assert.same(raw_rows(("select %s, count(%s), count(distinct %s), max(%s)%s order by %s")
                :format(key, counted,
                counted, column(last.alias, last.about.text), sql, key)), found, why)
            assert.equal(#found, query:count(), why)
        end

        -- What a request may bring, decoded.
        local function piece(depth)
            local kind = math.random(depth > 0 and 10 or 7)
            if kind == 1 then return math.random(-5, 20) end
            if kind == 2 then return math.random(2) == 1 end
            if kind == 3 then return orm.null end
            if kind <= 7 then
                return pick { "name", "id", "s.name", "s1.title", "books", "title desc", "name desc nulls last",
                    "$ne", "",
                    "1; drop table books", "x' or 1=1 --", "\0", "s.*", "*", "name asc; --", "s1.author.name",
                        "author.id desc",
                    "\"id\"", "s.books.title", "e0.id", ("x"):rep(300) }
            end
            local made = {}
            for i = 1, math.random(0, 3) do
                local key = math.random(2) == 1 and i or pick { "name", "id", "s.id", "s1.title", "s1.author",
                    "books", "$or",
                    "author", "b.x", "s1.author.name" }
                made[key] = piece(depth - 1)
            end
            return made
        end

        it("of arbitrary data give a result or a typed error, and never SQL that the database does not take", function()
            local seed = chance.seed(1)
            math.randomseed(seed)
            local results = 0
            for round = 1, 1500 do
                local query = em:query(library.Author, "s"):left_join("books", "s1")
                local ok, err = pcall(function()
                    for _ = 1, math.random(2) do
                        local method = pick { "where", "where", "order_by", "select", "limit", "offset" }
                        query[method](query, piece(2))
                    end
                    return query[pick { "rows", "all", "count", "one" }](query)
                end)
                results = results + (ok and 1 or 0)
                local why = ("seed %d, round %d: %s %s"):format(seed, round, tostring(err),
                    tostring(not ok and err.cause))
                assert.is_true(ok or orm.is_error(err, "validation") or orm.is_error(err, "unknown_property"), why)
                em:clear()
            end
            assert.is_true(results > 100)
        end)

        it("give what SQL written beside them gives", function()
            local seed = chance.seed(1)
            math.randomseed(seed)
            for round = 1, ROUNDS do
                local made = begin()
                add_order(made)
                local why = ("seed %d, round %d: %s%s%s"):format(seed, round, made.sql, made.where, made.order)
                local rows = check_rows(made, why)
                check_entities(made, rows, why)
                check_groups(made, why)
                em:clear()
            end
        end)
    end)
end)
