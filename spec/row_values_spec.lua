-- What a property may be beside a plain column: generated, filled by the database or by functions, hidden, not stored,
-- checked.

local orm = require "heddle"
local databases = require "spec.support.databases"
local unit = require "spec.support.unit"

local clock = 0

local Note = orm.entity {
    name = "Note", table = "notes",
    { "id", type = "integer", primary = true },
    { "title", type = "string", length = 20 },
    { "shout", type = "string", nullable = true, generated = "upper(title)" },
    { "size", type = "integer", nullable = true, generated = "length(title)", hidden = true },
    { "state", enum = { "new", "it's", "old" }, default = "new" },
    { "rank", type = "integer", nullable = true, default_sql = "40 + 2", check = "rank > 0" },
    { "body", type = "text", nullable = true, lazy = true },
    { "token", type = "string", nullable = true, hidden = true },
    { "draft", persist = false },
    { "cache", persist = false, hidden = true },
    { "made", type = "integer", nullable = true,
        on_create = function(note) clock = clock + 1 return clock * #note.title end },
    { "touched", type = "integer", nullable = true, on_update = function(_, em) return em.transactions and 7 end },
    { "meta", type = "json", nullable = true },
    { "tags", type = "array", array_of = "text", nullable = true },
    { "times", array_of = "timestamp", nullable = true },
    checks = { { "title <> 'no'", name = "no_no" } },
}

databases.each(function(db)
    local work, em, raw

    before_each(function()
        clock = 0
        work = unit.open(db, { Note })
        em, raw = work.em, work.raw
    end)

    after_each(function()
        work:close()
        db:close()
    end)

    local function quiet()
        work:forget()
        em:flush()
        assert.equal(0, #work.log)
    end

    local function make(data)
        local e = em:create(Note, data)
        em:persist_and_flush(e)
        return e
    end

    local function row(columns) return raw:rows("select " .. columns .. " from notes order by id")[1] end

    it("U7: generated values are read back after insert and update, hidden ones too", function()
        local e = make { title = "abc" }
        assert.equal("ABC", e.shout)
        assert.equal(3, e.size)
        assert.is_nil(rawget(e, "size"))
        e.title = "four"
        em:flush()
        assert.equal("FOUR", e.shout)
        assert.equal(4, e.size)
        assert.equal("FOUR", em:fork():find_one(Note, e.id).shout)
        quiet()
    end)

    it("U4: what is assigned to a generated property is refused, wherever data comes from", function()
        local function refused(fn, ...)
            local err = unit.raises("validation", fn, ...)
            assert.equal("shout", err.property)
        end
        refused(em.create, em, Note, { title = "x", shout = "X" })
        refused(Note, { title = "x", shout = "X" })
        refused(em.insert, em, Note, { title = "x", shout = "X" })
        refused(em.update_where, em, Note, { id = 1 }, { shout = "X" })
        local e = make { title = "x" }
        work:forget()
        e.shout = "other"
        refused(em.flush, em)
        e.shout = "X"
        e.size = 9
        assert.equal("size", unit.raises("validation", em.flush, em).property)
        assert.equal(0, work:writes())
        em:refresh(e)
        assert.equal(1, e.size)
        em:assign(e, { title = "y", shout = "X" })
        em:flush()
        assert.equal("Y", e.shout)
        em:clear()
        local reference = em:get_reference(Note, e.id)
        reference.shout = "blind"
        refused(em.flush, em)
    end)

    it("F1: generated values and defaults of the database go back with a failed flush", function()
        local e = make { title = "x" }
        raw:exec "insert into notes (id, title, state) values (77, 'taken', 'old')"
        local other = em:create(Note, { id = 77, title = "y" })
        em:persist(other)
        e.title = "changed"
        unit.raises("unique_violation", em.flush, em)
        assert.equal("X", e.shout)
        assert.is_nil(other.shout)
        assert.is_nil(other.rank)
        other.id = 78
        em:flush()
        assert.same({ "CHANGED", "Y", 42 }, { e.shout, other.shout, other.rank })
        quiet()
    end)

    it("U5: default_sql fills what is left out, and only that", function()
        local e = make { title = "x" }
        assert.equal(42, e.rank)
        assert.is_nil(make({ title = "y", rank = orm.null }).rank)
        assert.equal(1, make({ title = "z", rank = 1 }).rank)
        e.rank = nil
        em:flush()
        assert.same({ { false }, { false }, { "1" } }, raw:rows "select rank from notes order by id")
    end)

    it("U4: an enum takes its labels, with a CHECK in the schema that says the same", function()
        local err = unit.raises("validation", make, { title = "x", state = "lost" })
        assert.equal("state", err.property)
        em:clear()
        local e = make { title = "x", state = "it's" }
        e.state = "ne"
        assert.equal("state", unit.raises("validation", em.flush, em).property)
        em:refresh(e)
        local ok = pcall(raw.exec, raw, "insert into notes (title, state) values ('x', 'lost')")
        assert.is_false(ok)
        raw:exec "insert into notes (title, state) values ('x', 'it''s')"
        raw:exec "insert into notes (title) values ('x')"
        assert.same({ { "it's" }, { "it's" }, { "new" } }, raw:rows "select state from notes order by id")
        assert.equal(2, em:count(Note, { state = "it's" }))
    end)

    it("F5: a check that fails names its constraint, a property's the property", function()
        local e = make { title = "x" }
        e.rank = -1
        local err = unit.raises("check_violation", em.flush, em)
        assert.equal("rank", err.property)
        em:refresh(e)
        e.title = "no"
        err = unit.raises("check_violation", em.flush, em)
        assert.equal("no_no", err.constraint)
    end)

    it("I5: persist = false lives on the instance, is written nowhere and in no table", function()
        local e = em:create(Note, { title = "x", draft = { 1, 2 }, cache = "c" })
        em:persist_and_flush(e)
        assert.same({ 1, 2 }, e.draft)
        assert.equal("c", e.cache)
        assert.is_nil(rawget(e, "cache"))
        e.draft, e.cache = print, { "table" }
        quiet()
        assert.equal(print, e.draft)
        e.title = "y"
        em:flush()
        assert.equal(print, e.draft)
        assert.same({ "table" }, e.cache)
        em:refresh(e)
        assert.equal(print, e.draft)
        for _, statement in ipairs(work.instance.schema:create_sql()) do
            assert.is_nil(statement:find("draft", 1, true) or statement:find("cache", 1, true))
        end
        local err = unit.raises("unsupported", em.find, em, Note, { draft = 1 })
        assert.equal("draft", err.property)
        assert.is_nil(em:fork():find_one(Note, e.id).draft)
    end)

    it("contract 1: on_create and on_update see the entity and its manager; what is given stays", function()
        local e = make { title = "abc" }
        assert.equal(3, e.made)
        assert.is_nil(e.touched)
        assert.equal(99, make({ title = "b", made = 99 }).made)
        e.title = "abcd"
        em:flush()
        assert.same({ "3", "7" }, row "made, touched")
        assert.equal(7, e.touched)
        quiet()
    end)

    it("I5: lazy and hidden properties are read by name, and written when they were assigned", function()
        local id = make({ title = "x", body = "long", token = "t" }).id
        em:clear()
        local e = em:find_one(Note, id)
        assert.is_true(orm.is_error(select(2, pcall(function() return e.body end)), "not_loaded"))
        assert.equal("t", e.token)
        assert.is_nil(rawget(e, "token"))
        e.title = "y"
        em:flush()
        assert.same({ "long", "t" }, row "body, token")
        e.body, e.token = "new", nil
        em:flush()
        assert.same({ "new", false }, row "body, token")
        assert.equal("new", e.body)
        quiet()
    end)

    it("U2: json and arrays are compared by what is in them", function()
        local e = make { title = "x", meta = { a = 1, b = { 1, 2, { c = orm.null } } }, tags = { "a", "b" },
            times = { 0, 1.5 } }
        local meta = e.meta
        e.meta = { b = { 1, 2, { c = orm.null } }, a = 1 }
        e.tags = orm.array { "a", "b" }
        e.times = { "1970-01-01T00:00:00Z", 1.5 }
        quiet()
        e.meta = meta
        meta.b[3].c = 5
        e.tags[3] = "c"
        e.times[1] = 2
        em:flush()
        local fresh = em:fork():find_one(Note, e.id)
        assert.equal(5, fresh.meta.b[3].c)
        assert.same({ "a", "b", "c" }, fresh.tags)
        assert.same({ 2, 1.5 }, fresh.times)
        assert.equal(meta, e.meta)
        meta.b[3].c = 6
        meta.b[3].c = 5
        quiet()
        e.tags = {}
        e.meta = orm.array {}
        em:flush()
        fresh = em:fork():find_one(Note, e.id)
        assert.same({}, fresh.tags)
        assert.same({ "[]" }, row "meta")
        e.tags = { "a", 5 }
        assert.equal("tags", unit.raises("validation", em.flush, em).property)
    end)
end)
