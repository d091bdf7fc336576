-- on_flush: what it is told, and what adding, changing and leaving out in it does to the flush.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local told
local function tell(text) told[#told + 1] = text end

local function told_hooks(...)
    local made = {}
    for _, event in ipairs { ... } do
        made[event] = function(e) tell(event .. " " .. tostring(e.name)) end
    end
    return made
end

local Author = orm.entity { name = "Author", table = "authors",
    { "id", type = "integer", primary = true },
    { "name", type = "string", length = 10 },
    { "rank", type = "integer", default_sql = "7" },
    { "born", type = "date", nullable = true },
    { "password", type = "string", nullable = true, hidden = true },
    { "data", type = "json", nullable = true },
    { "version", type = "integer", version = true },
    { "books", one_to_many = "Book", mapped_by = "author" },
    { "tags", many_to_many = "Tag" },
    hooks = told_hooks("before_create", "before_update", "before_delete", "after_create", "after_update",
        "after_delete"),
}
local Book = orm.entity { name = "Book", table = "books",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "author", many_to_one = "Author", nullable = true },
}
local Tag = orm.entity { name = "Tag", table = "tags",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}

-- Changes as lines: what a spec can compare.
local function lines(changes)
    local list = {}
    for i, change in ipairs(changes) do list[i] = ("%s %s %s"):format(change.op, change.name, change.entity.name) end
    return list
end

databases.each(function(db)
    describe("on_flush", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Author, Book, Tag })
            em, raw = work.em, work.raw
            told = {}
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function given(data)
            data = data or {}
            data.name = data.name or "Ann"
            local author = em:create(Author, data)
            em:persist_and_flush(author)
            told = {}
            work:forget()
            return author
        end

        local function on_flush(fn) return work.instance:on("on_flush", fn) end

        it("F1: is told of what is new, changed and removed, in the program's values by property", function()
            local ann, bob = given { data = { n = { 1 } }, born = "1980-01-02", password = "p" }, given { name = "Bob" }
            local book = Book { name = "B", author = ann }
            em:persist_and_flush(book)
            local cid = Author { name = "Cid" }
            em:persist(cid)
            ann.data.n[2], ann.born, ann.password, book.author = 2, nil, "q", cid
            em:remove(bob)
            local seen
            on_flush(function(changes) seen = changes end)
            em:flush()
            assert.same({ "create Author Cid", "update Author Ann", "update Book B", "delete Author Bob" }, lines(seen))
            assert.same({ name = "Cid" }, seen[1].values)
            assert.same({}, seen[1].old)
            assert.same({ data = { n = { 1, 2 } }, born = orm.null, password = "q" }, seen[2].values)
            assert.same({ data = { n = { 1 } }, born = "1980-01-02", password = "p" }, seen[2].old)
            assert.equal(cid, seen[3].values.author) -- it has no key yet
            assert.same({ author = ann.id }, seen[3].old)
            assert.same({}, seen[4].values)
            assert.same({ id = bob.id, name = "Bob", rank = 7, version = 1 }, seen[4].old)
            assert.equal(em, seen.em)
            assert.equal(work.instance.context_name, seen.context)
            assert.equal(4, #seen)
            for key in pairs(seen) do assert.is_number(key) end
        end)

        it("U1: is not called when there is nothing to write, and nobody is told of a flush behind it", function()
            local ann, calls = given(), 0
            on_flush(function() calls = calls + 1 end)
            work.instance:on("after_flush", function() calls = calls + 1 end)
            work.instance:on("after_commit", function() calls = calls + 1 end)
            em:flush()
            ann.name = "Bea"
            ann.name = "Ann"
            em:flush()
            assert.equal(0, calls)
            assert.same({}, work:statements())
        end)

        it("U4: comes before validation: what it mends is not refused", function()
            em:persist(Author { name = ("x"):rep(20) })
            local off = on_flush(function(changes)
                assert.equal(("x"):rep(20), changes[1].values.name)
                changes[1].entity.name = "short"
            end)
            em:flush()
            assert.equal("short", raw:value "select name from authors")
            off()
            em:persist(Author { name = ("x"):rep(20) })
            unit.raises("validation", em.flush, em)
        end)

        it("F1: what it persists and removes is in the same flush, with hooks of its own", function()
            local ann, bob = given(), given { name = "Bob" }
            on_flush(function(changes)
                if changes[1].entity ~= ann then return end
                tell "on_flush"
                changes.em:persist(Author { name = "new" }):remove(bob)
            end)
            ann.name = "Bea"
            em:flush()
            assert.same({ "before_update Bea", "on_flush", "before_create new", "before_delete Bob", "after_create new",
                "after_update Bea", "after_delete Bob" }, told)
            assert.same({ { "Bea" }, { "new" } }, raw:rows "select name from authors order by name")
            assert.equal(1, #work:statements "^BEGIN")
        end)

        it("F1: what it changes elsewhere is written, with hooks of its own; no hook runs twice", function()
            local ann, bob = given(), given { name = "Bob" }
            on_flush(function() ann.rank, bob.rank = 8, 9 end)
            ann.name = "Bea"
            em:flush()
            assert.same({ "before_update Bea", "before_update Bob", "after_update Bea", "after_update Bob" }, told)
            assert.same({ { "Bea", "8" }, { "Bob", "9" } }, raw:rows "select name, rank from authors order by name")
        end)

        it("F1: a removal becomes a change when it is persisted again", function()
            local ann = given()
            on_flush(function(changes)
                if changes[1].op ~= "delete" then return end
                changes.em:persist(ann)
                ann.born = "2000-01-01"
            end)
            em:remove(ann):flush()
            assert.same({ "before_delete Ann", "before_update Ann", "after_update Ann" }, told)
            assert.equal("2000-01-01", raw:value "select born from authors")
            assert.is_true(em:contains(ann))
        end)

        it("F1: several listeners run in order, each sees what the former did", function()
            local ann, seen = given(), {}
            on_flush(function(changes)
                seen[1] = lines(changes)
                em:persist(Tag { name = "t" })
                ann.rank = 1
            end)
            on_flush(function(changes)
                seen[2], seen[3] = lines(changes), changes[2].values
                changes:veto(changes[1].entity)
            end)
            on_flush(function(changes) seen[4] = lines(changes) end)
            ann.name = "Bea"
            em:flush()
            assert.same({ "update Author Bea" }, seen[1])
            assert.same({ "create Tag t", "update Author Bea" }, seen[2])
            assert.same({ name = "Bea", rank = 1 }, seen[3])
            assert.same({ "update Author Bea" }, seen[4])
            assert.equal("0", raw:value "select count(*) from tags")
        end)

        it("F1: a veto leaves a row out, pending as it was", function()
            local ann, bob, cid = given(), given { name = "Bob" }, Author { name = "Cid" }
            local off = on_flush(function(changes)
                for _, change in ipairs(changes) do changes:veto(change.entity) end
            end)
            em:persist(cid)
            ann.name = "Bea"
            em:remove(bob):flush()
            assert.same({}, work:statements())
            assert.same({ "Ann", "Bob" }, { raw:value "select name from authors where name = 'Ann'",
                raw:value "select name from authors where name = 'Bob'" })
            assert.same({ "create Author Cid", "update Author Bea", "delete Author Bob" }, lines(em:changes()))
            off()
            told = {}
            em:flush()
            assert.same({ { "Bea" }, { "Cid" } }, raw:rows "select name from authors order by name")
            assert.same({ "before_create Cid", "before_update Bea", "before_delete Bob", "after_create Cid",
                "after_update Bea", "after_delete Bob" }, told)
            assert.same({}, em:changes())
        end)

        it("F1: what is left out is told to nobody behind it", function()
            local ann, seen = given(), {}
            for _, event in ipairs { "after_flush", "after_commit" } do
                work.instance:on(event, function(changes) seen[event] = lines(changes) end)
            end
            on_flush(function(changes) changes:veto(ann) end)
            ann.name = "Bea"
            em:persist(Tag { name = "t" }):flush()
            assert.same({ "create Tag t" }, seen.after_flush)
            assert.same({ "create Tag t" }, seen.after_commit)
            assert.same({ "before_update Bea" }, told)
        end)

        it("F1: pairs of an owner that is left out wait with it", function()
            local ann, tag = given(), Tag { name = "t" }
            ann.tags:add(tag)
            local off = on_flush(function(changes)
                assert.same({ "create Tag t", "collection Author Ann" }, lines(changes))
                assert.same({ "tags", { tag }, {} }, { changes[2].property, changes[2].added, changes[2].removed })
                changes:veto(ann)
            end)
            em:flush()
            assert.equal("1", raw:value "select count(*) from tags")
            assert.equal("0", raw:value "select count(*) from authors_tags")
            off()
            assert.same({ "collection Author Ann" }, lines(em:changes()))
            em:flush()
            assert.equal(tostring(tag.id), raw:value "select tag_id from authors_tags")
            assert.same({}, em:changes())
        end)

        it("F1: what refers to a new row that is left out cannot be written: hook", function()
            local ann, tag = Author { name = "Ann" }, Tag { name = "t" }
            local book = Book { name = "B", author = ann }
            local left_out = ann
            local off = on_flush(function(changes) changes:veto(left_out) end)
            em:persist(book)
            local err = unit.raises("hook", em.flush, em)
            assert.equal("Author", err.entity)
            assert.equal("0", raw:value "select count(*) from books")
            left_out = tag
            ann.tags:add(tag)
            assert.equal("Tag", unit.raises("hook", em.flush, em).entity)
            off()
            em:flush()
            assert.equal(tostring(ann.id), raw:value "select author_id from books")
            assert.equal("1", raw:value "select count(*) from authors_tags")
        end)

        it("C3: only entities of this entity manager, and only inside, can be left out", function()
            local ann, other, seen = given(), em:fork(), nil
            local theirs = other:find_one(Author, ann.id)
            on_flush(function(changes)
                seen = changes
                changes:veto(theirs)
            end)
            ann.name = "Bea"
            unit.raises("not_managed", em.flush, em)
            unit.raises("hook", seen.veto, em:changes(), ann)
        end)

        it("F1: an error in it leaves everything out, takes back what it did", function()
            local ann, tag, fail = given(), Tag { name = "t" }, true
            on_flush(function()
                ann.rank = (ann.rank or 0) + 1
                em:persist(tag)
                if fail then error("no", 0) end
            end)
            ann.name = "Bea"
            local ok, err = pcall(em.flush, em)
            assert.is_false(ok)
            assert.equal("no", err)
            assert.same({ "Bea", 7, false }, { ann.name, ann.rank, em:contains(tag) })
            assert.same({}, work:statements())
            fail = false
            em:flush()
            assert.same({ { "Bea", "8" } }, raw:rows "select name, rank from authors")
            assert.equal("1", raw:value "select count(*) from tags")
        end)

        it("F1: inside a transaction a vetoed row waits for the next flush of it", function()
            local ann, once = given(), true
            on_flush(function(changes)
                if once then changes:veto(ann) end
                once = false
            end)
            em:begin()
            ann.name = "Bea"
            em:flush()
            assert.equal("Bea", ann.name)
            assert.same({}, work:statements "UPDATE")
            em:commit()
            assert.equal("Bea", raw:value "select name from authors")
        end)

        it("O3: a thousand rows in it are as few statements as without", function()
            local count = 0
            on_flush(function(changes)
                count = #changes
                for i, change in ipairs(changes) do change.entity.rank = i end
            end)
            for i = 1, 1000 do em:persist(Author { name = "n" .. i }) end
            em:flush()
            assert.equal(1000, count)
            assert.equal("500500", raw:value "select sum(rank) from authors")
            assert.is_true(work:writes "INSERT INTO" <= 12, work:writes "INSERT INTO")
        end)
    end)
end)
