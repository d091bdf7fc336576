-- orm.raw as a property's value: the database evaluates it in the row's own INSERT or UPDATE.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raw = orm.raw

local Money = orm.type {
    column = "integer",
    to_db = function(value) return value.cents end,
    from_db = function(cents) return { cents = cents } end,
    equals = function(a, b) return a.cents == b.cents end,
}
local Page = orm.entity { name = "Page", table = "pages",
    { "id", type = "integer", primary = true },
    { "path", type = "string", unique = true },
    { "visits", type = "integer", default = 0 },
    { "score", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "note", type = "text", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "body", type = "text", nullable = true, lazy = true },
    { "tags", type = "json", nullable = true },
    { "price", type = Money, nullable = true },
    { "size", type = "integer", generated = "visits * 2" },
    { "version", type = "integer", version = true },
    { "owner", many_to_one = "Owner", nullable = true },
}
local Owner = orm.entity { name = "Owner", table = "owners",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "touched", type = "integer", default = 0, on_update = function() return raw "touched + 1" end },
}

databases.each(function(db)
    describe("orm.raw", function()
        local work, em, raws

        before_each(function()
            work = unit.open(db, { Page, Owner })
            em, raws = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function page(values)
            values = values or {}
            values.path = values.path or "/"
            local made = em:persist_and_flush(Page(values))
            work:forget()
            return made
        end

        it("U7: is evaluated by the UPDATE, over the row as it is there, and the value comes back", function()
            local home = page { visits = 1 }
            raws:exec "update pages set visits = 40"
            home.visits = raw("visits + ?", 2)
            em:flush()
            assert.equal(1, work:writes())
            assert.equal(42, home.visits)
            assert.equal(84, home.size)
            assert.equal(2, home.version)
            assert.same({ { "42", "2" } }, raws:rows "select visits, version from pages")
            work:forget()
            em:flush()
            assert.same({}, work.log)
            home.visits = home.visits + 1
            em:flush()
            assert.equal("43", raws:value "select visits from pages")
        end)

        it("U1: is a change, whatever it will be", function()
            local home = page { visits = 5 }
            home.visits = raw "visits"
            em:flush()
            assert.equal(1, work:writes())
            assert.same({ 5, 2 }, { home.visits, home.version })
        end)

        it("may call the row e0, name several columns, and say ? as ??", function()
            local home = page { visits = 3, note = "n" }
            home.visits = raw("e0.visits * ? + length(note || '?') -- twice ??", 10)
            home.note = raw("upper(e0.note) || ?", "?")
            home.score = raw("visits / ?", 2)
            em:flush()
            assert.same({ 32, "N?", "1.00" }, { home.visits, home.note, home.score })
        end)

        it("binds its values: no SQL comes from data", function()
            local home = page { note = "n" }
            home.note = raw("coalesce(?, '') || ?", orm.null, "'; drop table pages; --")
            em:flush()
            assert.equal("'; drop table pages; --", raws:value "select note from pages")
        end)

        it("O3: rows of one text are one statement, each with its values", function()
            local list = {}
            for i = 1, 30 do
                list[i] = Page { path = "/" .. i, visits = i }
                em:persist(list[i])
            end
            em:flush()
            work:forget()
            for i, each in ipairs(list) do each.visits = raw(i % 2 == 0 and "visits + ?" or "visits - ?", i) end
            em:flush()
            assert.equal(2, work:writes())
            for i, each in ipairs(list) do assert.equal(i % 2 == 0 and 2 * i or 0, each.visits) end
            assert.equal("15", raws:value "select count(*) from pages where visits = 0")
        end)

        it("F2: checks the version as every write does", function()
            local first, second = page { path = "/1" }, page { path = "/2" }
            raws:exec "update pages set version = 9 where path = '/2'"
            first.visits, second.visits = raw "visits + 1", raw "visits + 1"
            local err = unit.raises("optimistic_lock", em.flush, em)
            assert.is_truthy(err.message:find("Page#" .. second.id, 1, true))
            assert.same({ { "0" }, { "0" } }, raws:rows "select visits from pages order by path")
            em:refresh(second)
            assert.equal(0, second.visits)
            em:flush()
            assert.same({ { "1" }, { "0" } }, raws:rows "select visits from pages order by path")
        end)

        it("F1: stands there again when its flush has failed, and is evaluated once", function()
            local home = page { visits = 1 }
            local failing = true
            work.instance:on("after_update", function(entity)
                assert.same({ 2, 4 }, { entity.visits, entity.size })
                if failing then error "no" end
            end)
            local expression = raw "visits + 1"
            home.visits, home.secret = expression, raw("lower(?)", "S")
            assert.is_false(pcall(em.flush, em))
            assert.equal(expression, home.visits)
            assert.same({ 2, 1 }, { home.size, home.version })
            assert.equal("1", raws:value "select visits from pages")
            failing = false
            em:flush()
            assert.same({ 2, 4, 2, "s" }, { home.visits, home.size, home.version, home.secret })
            assert.same({ { "2", "s" } }, raws:rows "select visits, secret from pages")
        end)

        it("F1: a generated value goes back with its flush", function()
            local home = page { visits = 7 }
            work.instance:on("after_update", function() error "no" end)
            home.visits = 8
            assert.is_false(pcall(em.flush, em))
            assert.same({ 8, 14 }, { home.visits, home.size })
        end)

        it("F3: a transaction that is rolled back gives the value back that was there", function()
            local home = page { visits = 1 }
            assert.is_false(pcall(em.transactional, em, function()
                home.visits = raw "visits + 1"
                em:flush()
                assert.equal(2, home.visits)
                error "no"
            end))
            assert.equal(1, home.visits)
            home.visits = raw "visits + 10"
            local pending = home.visits
            assert.is_false(pcall(em.transactional, em, function()
                em:flush()
                error "no"
            end))
            assert.same(pending, home.visits)
            em:flush()
            assert.equal(11, home.visits)
        end)

        it("is taken by hidden, lazy, json and custom properties, and by references", function()
            local home = page { price = { cents = 100 }, tags = { "a" } }
            em:clear()
            home = em:find_one(Page, home.id)
            home.secret = raw("upper(?)", "s")
            home.body = raw("path || ?", "x")
            home.price = raw("price * ?", 3)
            home.tags = raw(db.name == "postgres" and [['["b"]'::jsonb]] or [['["b"]']])
            em:flush()
            assert.same({ "S", "/x", { cents = 300 }, { "b" } }, { home.secret, home.body, home.price, home.tags })
            work:forget()
            em:flush()
            assert.same({}, work.log)
            em:clear()
            local reference = em:get_reference(Page, home.id)
            reference.visits = raw "visits + 7"
            em:flush()
            assert.same({ 7, 3 }, { reference.visits, reference.version })
            assert.same({ { "7", "300", "3" } }, raws:rows "select visits, price, version from pages")
        end)

        it("is taken by an INSERT, with the key that it has or gets", function()
            local list = {}
            for i = 1, 3 do
                list[i] = Page { path = raw("'/' || lower(?)", "P" .. i), owner = Owner { name = raw "upper('o')" } }
                em:persist(list[i])
            end
            em:flush()
            for i, each in ipairs(list) do
                assert.equal("/p" .. i, each.path)
                assert.equal("O", each.owner.name)
            end
            assert.equal("3", raws:value "select count(*) from pages p join owners o on o.id = p.owner_id")
            local alone = em:persist_and_flush(Page { id = 77, path = raw "'/' || 'alone'" })
            assert.equal("/alone", alone.path)
            assert.equal("77", raws:value "select id from pages where path = '/alone'")
        end)

        it("may come out of on_update and em:assign", function()
            local owner = em:persist_and_flush(Owner { name = "a" })
            em:assign(owner, { name = raw("name || ?", "b") })
            em:flush()
            owner.name = "c"
            em:flush()
            assert.same({ "c", 2 }, { owner.name, owner.touched })
        end)

        it("U4: is refused for keys and relations, and with too few values, before any statement", function()
            local home = page()
            home.visits = raw("visits + ?")
            local err = unit.raises("validation", em.flush, em)
            assert.is_truthy(err.message:find("1 placeholders and was given 0", 1, true))
            home.visits = 0
            em:persist(Page { id = raw "7", path = "/7" })
            err = unit.raises("validation", em.flush, em)
            assert.same({ "Page", "id" }, { err.entity, err.property })
            unit.raises("validation", function() home.owner = raw "1" end)
            assert.same({}, work:work_statements())
        end)

        it("I3: stays when its row is read again", function()
            local home = page { visits = 1 }
            home.visits = raw "visits + 1"
            local expression = home.visits
            assert.equal(home, em:find(Page, {}, { flush_mode = "commit" })[1])
            assert.equal(expression, home.visits)
            assert.equal(home, em:find(Page, {})[1]) -- flushes first
            assert.equal(2, home.visits)
        end)

        it("is what those see who look at the changes before they are written", function()
            local home = page { visits = 1 }
            local seen
            work.instance:on("on_flush", function(changes) seen = changes[1].values.visits end)
            home.visits = raw "visits + 1"
            local expression = home.visits
            em:flush()
            assert.equal(expression, seen)
            assert.equal(2, home.visits)
        end)
    end)

    it("F2: a version that was never read is counted on by the database", function()
        local work = unit.open(db, { Page, Owner })
        local em, other = work.em, work:fork()
        local home = em:persist_and_flush(Page { path = "/" })
        local reference = other:get_reference(Page, home.id)
        reference.note = "theirs"
        other:flush()
        assert.equal(2, reference.version)
        home.note = "mine"
        unit.raises("optimistic_lock", em.flush, em)
        assert.same({ { "theirs", "2" } }, work.raw:rows "select note, version from pages")
        work:close()
        db:close()
    end)
end)
