-- What an instance of no entity manager refers to has its whole key, whatever the key is made of.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local UUID = "5e0e0a4e-6b1c-4b51-9c3b-0d3a9a1f3c11"
local Upper = orm.type { column = "text", to_db = string.upper, from_db = string.lower }

local Order = orm.entity { name = "Order", table = "orders", { "id", type = "integer", primary = true } }
local Line = orm.entity { name = "Line",
    { "order", many_to_one = "Order", primary = true },
    { "pos", type = "integer", primary = true },
    { "text", type = "string", nullable = true },
}
local Code = orm.entity { name = "Code", { "id", type = Upper, primary = true } }
local Token = orm.entity { name = "Token", { "id", type = "uuid", primary = true, hidden = true } }
local Note = orm.entity { name = "Note",
    { "id", type = "integer", primary = true },
    { "line", many_to_one = "Line" },
    { "code", many_to_one = "Code" },
    { "token", many_to_one = "Token" },
}

databases.each(function(db)
    describe("a reference of nobody", function()
        local work, em

        before_each(function()
            work = unit.open(db, { Order, Line, Code, Token, Note })
            em = work.em
            local line = em:create(Line, { order = em:create(Order, {}), pos = 3 })
            em:persist_and_flush(em:create(Note, { id = 1, line = line, code = em:create(Code, { id = "ab" }),
                token = em:create(Token, { id = UUID }) }))
            em:clear()
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        local function check(note)
            assert.equal(3, note.line.pos)
            assert.equal(1, note.line.order.id)
            assert.equal("ab", note.code.id)
            assert.equal(UUID, note.token.id)
            unit.raises("not_loaded", function() return note.line.text end)
            assert.equal("Line#1,3 Code#ab", table.concat({ tostring(note.line):match "^%S+",
                tostring(note.code):match "^%S+" }, " "))
            assert.equal("Line#1,4", tostring(Line { order = note.line.order, pos = 4 }):match "^%S+")
            assert.equal("Line#new,4", tostring(Line { order = Order {}, pos = 4 }):match "^%S+")
            for _, name in ipairs { "line", "code", "token" } do
                assert.equal(1, em:count(Note, { [name] = note[name] }), name)
            end
            local mine = em:fork():merge(note)
            assert.equal("3 1 ab " .. UUID, table.concat({ mine.line.pos, mine.line.order.id, mine.code.id,
                mine.token.id }, " "))
        end

        it("read without being managed", function()
            check(em:find_one(Note, 1, { managed = false }))
            for note in em:stream(Note, {}) do check(note) end
        end)

        it("detached", function()
            local note = em:find_one(Note, 1)
            em:detach(note)
            check(note)
        end)

        it("left behind by a cleared entity manager", function()
            local note = em:find_one(Note, 1)
            em:clear()
            check(note)
        end)
    end)
end)
