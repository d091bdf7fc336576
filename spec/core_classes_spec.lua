-- Methods of the core's objects called with something else in their place: refused, whatever that is.

local asserted = require "spec.support.asserted"
local core = require "heddle.core"
local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Row = orm.entity { name = "ClassRow", table = "class_rows", { "id", type = "integer", primary = true } }
local STRANGERS = { io.stdout, {}, "x", 1, false, print, orm.null, coroutine.create(function() end) }

describe("methods of the core's objects", function()
    local db, work, ours

    before_each(function()
        db = databases.open "sqlite"
        work = unit.open(db, { Row })
        local em = work.em
        em:persist_and_flush(em:create(Row, { id = 1 }))
        ours = { link = em.link, session = em.session, shelf = em:shelf_of(em.mappings.by_name.ClassRow).shelf,
            model = em.model, flush = core.flush(em.model) }
    end)
    after_each(function()
        work:close()
        db:close()
    end)

    local function refuses(class, name, method, stranger)
        local ok, err = pcall(method, stranger)
        asserted.note()
        local said = tostring(err)
        if ok or not said:find("bad argument", 1, true) then
            error(("%s:%s took a %s: %s"):format(class, name, type(stranger), said), 0)
        end
    end

    it("refuse what is of no class of theirs", function()
        for class, object in pairs(ours) do
            for name, method in pairs(getmetatable(object).__index) do
                refuses(class, name, method, nil)
                for _, stranger in ipairs(STRANGERS) do refuses(class, name, method, stranger) end
            end
        end
    end)

    it("refuse what is of another class", function()
        for class, object in pairs(ours) do
            for name, method in pairs(getmetatable(object).__index) do
                for other, stranger in pairs(ours) do
                    if other ~= class then refuses(class, name, method, stranger) end
                end
            end
        end
    end)
end)
