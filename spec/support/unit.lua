--- What specs of the unit of work share: a context with tables, its statements, and what it raises.
--
--     local unit = require "spec.support.unit"
--     local work = unit.open(db, { Team, User })       -- a fresh database with its tables
--     work.em:persist_and_flush(User { name = "x" })
--     assert.equal(1, work:writes())                    -- INSERT, UPDATE and DELETE since work:forget()
--     assert.same({ { "1", "x" } }, work.raw:rows "select id, name from users")
--     local err = unit.raises("unique_violation", work.em.flush, work.em)
--     work:close()

local asserted = require "spec.support.asserted"
local orm = require "heddle"

local unit = {}

local Work = {}
Work.__index = Work

--- A context on a fresh database, its entity manager (a fork), a raw connection, and a log of statements.
function unit.open(db, entities, overrides)
    local config = { entities = entities }
    for key, value in pairs(overrides or {}) do config[key] = value end
    local made = db:config(config)
    local instance = orm.init(made)
    instance.schema:create()
    local work = setmetatable({ db = db, config = made, instance = instance, raw = db:raw(), log = {} }, Work)
    work.em = orm.em(instance.context_name):fork()
    instance:on("query", function(entry) work.log[#work.log + 1] = entry end)
    return work
end

--- Empties the log.
function Work:forget() self.log = {} end

--- Statements since `forget` whose text matches the pattern; all without one. BEGIN, COMMIT and savepoints count.
function Work:statements(pattern)
    local found = {}
    for _, entry in ipairs(self.log) do
        if not pattern or entry.sql:find(pattern) then found[#found + 1] = entry.sql end
    end
    return found
end

local control = { BEGIN = true, COMMIT = true, ROLLBACK = true, SAVEPOINT = true, RELEASE = true }

--- Texts of statements that are no transaction control, in order.
function Work:work_statements()
    local found = {}
    for _, entry in ipairs(self.log) do
        if not control[entry.sql:match "^%a+"] then found[#found + 1] = entry.sql end
    end
    return found
end

local verbs = { "INSERT INTO", "UPDATE", "DELETE FROM" }

-- A guarded write stands in a CTE.
local function verb_of(text)
    for _, verb in ipairs(verbs) do
        if text:find("^" .. verb) or text:find("^WITH .*[(] ?" .. verb) or text:find("^WITH .*[)] " .. verb) then
            return verb
        end
    end
end

--- How many statements wrote rows: of one kind ("INSERT INTO", "UPDATE", "DELETE FROM") or of all.
function Work:writes(verb)
    local n = 0
    for _, entry in ipairs(self.log) do
        local found = verb_of(entry.sql)
        if found and (not verb or found == verb) then n = n + 1 end
    end
    return n
end

--- Another entity manager of the same context.
function Work:fork() return self.em:fork() end

function Work:close()
    orm.close(self.instance.context_name)
end

--- Calls a function that has to raise one kind of Heddle's errors; gives the error.
function unit.raises(kind, fn, ...)
    asserted.note()
    local ok, err = pcall(fn, ...)
    if ok then error("nothing was raised, expected " .. kind, 2) end
    if not orm.is_error(err) then error("no error of Heddle's: " .. tostring(err), 2) end
    if not orm.is_error(err, kind) then
        error(("raised %s, expected %s: %s (cause: %s)"):format(err.kind, kind, tostring(err), tostring(err.cause)), 2)
    end
    return err
end

return unit
