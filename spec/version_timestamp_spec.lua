-- F2: a version that is a timestamp. It is the time of the write, and later than the row's own whatever the clock says.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Doc = orm.entity { name = "Doc", table = "docs",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "body", type = "text", nullable = true },
    { "changed", type = "timestamp", version = true },
}
local Page = orm.entity { name = "Page", table = "pages",
    { "id", type = "integer", primary = true },
    { "text", type = "string" },
    { "changed", type = "timestamp", version = true, as = "iso8601" },
}

databases.each(function(db)
    describe("a version that is a timestamp", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Doc, Page })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function doc(title)
            return em:persist_and_flush(Doc { title = title or "t" })
        end

        local function set(when)
            raw:exec(("update docs set changed = '%s'"):format(db.name == "postgres" and when .. "+00" or when))
        end

        it("F2: is the time of the write, in INSERT and UPDATE, and only moves with them", function()
            local before = orm.now()
            local made = doc()
            local first = made.changed
            assert.is_true(first >= before - 1 and first <= orm.now() + 1)
            em:flush()
            made.title = "u"
            em:flush()
            assert.is_true(made.changed > first)
            local second = made.changed
            em:clear()
            assert.equal(second, em:find_one(Doc, made.id).changed)
        end)

        it("F2: is later than the old one when the clock is behind, by a microsecond", function()
            local made = doc()
            for _, case in ipairs {
                { "2199-12-31 23:59:58.000001", 7258118398.000002 },
                { "2199-12-31 23:59:59.999999", 7258118400 },
            } do
                set(case[1])
                em:refresh(made)
                made.title = case[1]
                em:flush()
                assert.equal(case[2], made.changed)
                em:clear()
                made = em:find_one(Doc, made.id)
                assert.equal(case[2], made.changed)
            end
        end)

        it("F2: a stale update and a stale delete are optimistic_lock", function()
            local made = doc()
            set "2020-01-01 00:00:00.000001"
            made.title = "mine"
            unit.raises("optimistic_lock", em.flush, em)
            em:remove(made)
            unit.raises("optimistic_lock", em.flush, em)
            em:persist(made)
            em:refresh(made)
            made.title = "mine"
            em:flush()
            em:remove(made):flush()
            assert.same({}, raw:rows "select * from docs")
        end)

        for _, verb in ipairs { "update", "delete" } do
            it(("F2: one stale row of three hundred fails the whole %s, and is named"):format(verb), function()
                local list = {}
                for i = 1, 300 do
                    list[i] = Doc { title = "t" .. i }
                    em:persist(list[i])
                end
                em:flush()
                local held = list[217].changed
                raw:exec(("update docs set changed = '2999-01-01 00:00:00.000000' where id = %d"):format(list[217].id))
                for _, each in ipairs(list) do
                    if verb == "update" then each.title = "mine" else em:remove(each) end
                end
                local err = unit.raises("optimistic_lock", em.flush, em)
                assert.is_truthy(err.message:find("Doc#" .. list[217].id .. " ", 1, true), err.message)
                assert.equal(held, list[217].changed)
                assert.equal("300", raw:value "select count(*) from docs where title like 't%'")
            end)
        end

        it("F2: two entity managers: the first writes, the second learns of it", function()
            local made = doc()
            local other = work:fork()
            local twin = other:find_one(Doc, made.id)
            made.title, twin.title = "first", "second"
            em:flush()
            unit.raises("optimistic_lock", other.flush, other)
            other:refresh(twin)
            assert.equal(made.changed, twin.changed)
        end)

        it("F2: goes on in a row switch, and for a row that was never read", function()
            local made = doc()
            set "2199-12-31 23:59:59.999999"
            em:refresh(made)
            local new = Doc { id = made.id, title = "new", changed = 5 }
            em:remove(made):persist(new):flush()
            assert.equal(7258118400, new.changed)
            em:clear()
            local reference = em:get_reference(Doc, new.id)
            reference.title = "again"
            em:flush()
            assert.equal(7258118400.000001, reference.changed)
            reference.title = "once more"
            em:flush()
            assert.equal(7258118400.000002, reference.changed)
        end)

        it("F2: counts on in updates without the unit of work", function()
            local made = doc()
            set "2199-12-31 23:59:59.999999"
            em:refresh(made)
            em:update_where(Doc, { id = made.id }, { body = "x" })
            made.title = "mine"
            unit.raises("optimistic_lock", em.flush, em)
            em:refresh(made)
            assert.equal(7258118400, made.changed)
        end)

        it("F1: a failed flush gives the old one back", function()
            local made = doc()
            local held = made.changed
            work.instance:on("after_update", function() error "no" end)
            made.title = "u"
            assert.is_false(pcall(em.flush, em))
            assert.equal(held, made.changed)
        end)

        it("may be held as ISO 8601", function()
            local page = em:persist_and_flush(Page { text = "a" })
            assert.is_truthy(page.changed:match "^%d%d%d%d%-%d%d%-%d%dT")
            local first = page.changed
            page.text = "b"
            em:flush()
            assert.is_true(page.changed > first)
            raw:exec "update pages set changed = '2020-01-01 00:00:00.000000'"
            page.text = "c"
            unit.raises("optimistic_lock", em.flush, em)
        end)
    end)
end)

it("a version of another type is refused, and told what may be one", function()
    local err = unit.raises("metadata", orm.entity, { name = "Bad",
        { "id", type = "integer", primary = true }, { "v", type = "text", version = true } })
    assert.is_truthy(err.message:find("bigint, integer, smallint, timestamp", 1, true))
end)
