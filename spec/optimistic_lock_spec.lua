-- F2: the version is part of the write. Whoever read an older row learns of it, one row or a thousand.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Doc = orm.entity { name = "Doc", table = "docs",
    { "id", type = "integer", primary = true },
    { "title", type = "string" },
    { "body", type = "text", nullable = true },
    { "version", type = "integer", version = true },
}
local Page = orm.entity { name = "Page", table = "pages",
    { "id", type = "integer", primary = true },
    { "text", type = "string" },
    { "doc", many_to_one = "Doc", nullable = true },
}

databases.each(function(db)
    describe("a version", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Doc, Page })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function docs(n)
            local list = {}
            for i = 1, n do
                list[i] = Doc { title = "t" .. i }
                em:persist(list[i])
            end
            em:flush()
            return list
        end

        local function titles() return raw:rows "select title, version from docs order by id" end

        it("F2: begins with 1 and counts every UPDATE", function()
            local doc = docs(1)[1]
            assert.equal(1, doc.version)
            doc.title = "a"
            em:flush()
            doc.title = "b"
            em:flush()
            assert.equal(3, doc.version)
            assert.same({ { "b", "3" } }, titles())
            em:flush()
            doc.title = "c"
            doc.title = "b"
            em:flush()
            assert.equal(3, doc.version)
        end)

        it("F2: a stale update is optimistic_lock, changes nothing, and can be mended", function()
            local doc = docs(1)[1]
            raw:exec "update docs set title = 'theirs', version = 2"
            doc.title = "mine"
            local err = unit.raises("optimistic_lock", em.flush, em)
            assert.equal("Doc", err.entity)
            assert.is_truthy(err.message:find("Doc#" .. doc.id, 1, true))
            assert.same({ "mine", 1 }, { doc.title, doc.version })
            unit.raises("optimistic_lock", em.flush, em)
            assert.same({ { "theirs", "2" } }, titles())
            em:refresh(doc)
            assert.same({ "theirs", 2 }, { doc.title, doc.version })
            doc.title = "mine"
            em:flush()
            assert.same({ { "mine", "3" } }, titles())
        end)

        it("F2: a stale delete is optimistic_lock, and the entity stays", function()
            local doc = docs(1)[1]
            raw:exec "update docs set title = 'theirs', version = 2"
            em:remove(doc)
            unit.raises("optimistic_lock", em.flush, em)
            assert.same({ { "theirs", "2" } }, titles())
            em:persist(doc)
            em:refresh(doc)
            em:remove(doc):flush()
            assert.same({}, titles())
        end)

        it("F2: a row that is gone is optimistic_lock when it had a version, not_found when it had none", function()
            local doc = docs(1)[1]
            local page = em:persist_and_flush(Page { text = "x" })
            raw:exec "delete from docs"
            raw:exec "delete from pages"
            doc.title = "y"
            unit.raises("optimistic_lock", em.flush, em)
            em:detach(doc)
            page.text = "y"
            local err = unit.raises("not_found", em.flush, em)
            assert.is_truthy(err.message:find("Page#" .. page.id, 1, true))
            em:remove(page)
            unit.raises("not_found", em.flush, em)
        end)

        for _, verb in ipairs { "update", "delete" } do
            it(("F2: one stale row of a thousand fails the whole %s, and is named"):format(verb), function()
                local list = docs(1000)
                raw:exec(("update docs set version = 2 where id = %d"):format(list[617].id))
                for _, doc in ipairs(list) do
                    if verb == "update" then doc.title = "mine" else em:remove(doc) end
                end
                local err = unit.raises("optimistic_lock", em.flush, em)
                assert.is_truthy(err.message:find("Doc#" .. list[617].id .. " ", 1, true), err.message)
                assert.equal("1000", raw:value "select count(*) from docs where title like 't%'")
                for _, doc in ipairs(list) do assert(doc.version == 1) end
                raw:exec "update docs set version = 1"
                em:flush()
                local query = verb == "update" and "select count(*) from docs where title = 'mine' and version = 2"
                    or "select 1000 - count(*) from docs"
                assert.equal("1000", raw:value(query))
            end)

            it(("F2: rows without a version are counted as well in a batched %s"):format(verb), function()
                local pages = {}
                for i = 1, 200 do
                    pages[i] = Page { text = "p" .. i }
                    em:persist(pages[i])
                end
                em:flush()
                raw:exec(("delete from pages where id = %d"):format(pages[77].id))
                for _, page in ipairs(pages) do
                    if verb == "update" then page.text = "mine" else em:remove(page) end
                end
                local err = unit.raises("not_found", em.flush, em)
                assert.is_truthy(err.message:find("Page#" .. pages[77].id .. " ", 1, true), err.message)
                assert.equal("199", raw:value "select count(*) from pages where text like 'p%'")
            end)
        end

        it("F2: in an open transaction too, which goes on", function()
            local list = docs(3)
            raw:exec "update docs set version = 2, title = 'theirs' where title = 't2'"
            em:transactional(function(tx)
                list[1].title, list[2].title = "mine", "mine"
                unit.raises("optimistic_lock", tx.flush, tx)
                tx:refresh(list[2])
                list[3].title = "mine"
            end)
            assert.same({ { "mine", "2" }, { "theirs", "2" }, { "mine", "2" } }, titles())
        end)

        it("F2: two entity managers: the first writes, the second learns of it", function()
            local doc = docs(1)[1]
            local other = work:fork()
            local twin = other:find_one(Doc, doc.id)
            doc.title, twin.title = "first", "second"
            em:flush()
            unit.raises("optimistic_lock", other.flush, other)
            assert.same({ { "first", "2" } }, titles())
        end)

        it("I3: reading again does not make a changed, stale entity fresh", function()
            local doc = docs(1)[1]
            doc.title = "mine"
            raw:exec "update docs set title = 'theirs', body = 'x', version = 2"
            assert.equal(doc, em:find(Doc, {}, { flush_mode = "commit" })[1])
            assert.same({ "mine", 1 }, { doc.title, doc.version })
            assert.is_nil(doc.body)
            unit.raises("optimistic_lock", em.flush, em)
        end)

        it("F2: a changed relation and a partial row write their version too", function()
            local list = docs(2)
            em:clear()
            local doc = em:find_one(Doc, { title = "t1" }, { fields = { "id", "title" } })
            doc.title = "mine"
            raw:exec "update docs set version = 9 where title = 't1'"
            -- The version was not asked for, but is read all the same: a write without it would overwrite.
            unit.raises("optimistic_lock", em.flush, em)
            assert.equal("9", raw:value(("select version from docs where id = %d"):format(list[1].id)))
        end)

        it("F2: no writer between check and write goes unnoticed", function()
            local doc = docs(1)[1]
            local other = work:fork()
            local twin = other:find_one(Doc, doc.id)
            local struck = false
            work.instance:on("before_update", function(entity)
                if entity ~= doc or struck then return end
                struck = true
                raw:exec "update docs set title = 'between', version = version + 1"
            end)
            doc.title = "mine"
            unit.raises("optimistic_lock", em.flush, em)
            assert.is_true(struck)
            twin.title = "second"
            unit.raises("optimistic_lock", other.flush, other)
            assert.same({ { "between", "2" } }, titles())
        end)

        it("F2: a version that the program assigned is not taken", function()
            local doc = docs(1)[1]
            doc.version = 40
            em:flush()
            assert.same({ { "t1", "1" } }, titles())
            doc.title = "a"
            em:flush()
            assert.same({ { "a", "2" } }, titles())
            assert.equal(2, doc.version)
        end)
    end)
end)
