-- Rows of the query builder hold a foreign key as the key that it leads to is held.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

-- What is converted twice is another value.
local Upper = orm.type {
    column = "text",
    to_db = function(value) return value:upper() .. "+" end,
    from_db = function(value) return value:sub(1, -2):lower() end,
}

local Code = orm.entity { name = "Code", { "id", type = Upper, primary = true } }
local Place = orm.entity { name = "Place",
    { "code", many_to_one = Code, primary = true },
    { "number", type = "integer", primary = true },
}
local Note = orm.entity { name = "Note",
    { "id", type = "integer", primary = true },
    { "code", many_to_one = Code, nullable = true },
    { "place", many_to_one = Place, nullable = true },
}

databases.each(function(db)
    it("custom types in foreign keys of query rows", function()
        local work = unit.open(db, { Code, Place, Note })
        local em = work.em
        local code = em:create(Code, { id = "ab" })
        em:persist(em:create(Note, { id = 1, code = code, place = em:create(Place, { code = code, number = 2 }) }))
        em:persist_and_flush(em:create(Note, { id = 2 }))
        assert.equal("AB+", db:raw():value "select code_id from note where id = 1")
        local function rows(...)
            return em:query(Note, "n"):select(...):order_by("n.id"):rows()
        end
        assert.same({ { id = 1, code = "ab" }, { id = 2 } }, rows("n.id", "n.code"))
        assert.same({ { id = 1, place = { "ab", 2 } }, { id = 2 } }, rows("n.id", "n.place"))
        assert.same({ { code = "ab", number = 2 } }, em:query(Place, "p"):select("p.code", "p.number"):rows())
        assert.equal("ab", em:query(Note, "n"):where { code = "ab" }:all()[1].code.id)
        local inner = em:query(Note, "n"):select("n.code")
        assert.same({ { code = "ab" } }, em:query(inner, "s"):where { code = "ab" }:select("s.code"):rows())
        assert.same({ { code = "ab" } }, em:query(inner, "s"):where { code = code }:select("s.code"):rows())
        work:close()
        db:close()
    end)
end)
