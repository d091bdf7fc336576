-- What a program pays at its start: modules are loaded when something of theirs is first used, wherever that is.

local databases = require "spec.support.databases"
local lfs = require "lfs"
local relay = require "spec.support.relay"

-- Fifty entities as most are, half of them with a relation.
local ENTITIES = [[
local entities = {}
for i = 1, 50 do
    local given = { name = "Entity" .. i, table = "entity_" .. i,
        { "id", type = "integer", primary = true },
        { "name", type = "string", length = 255 },
        { "email", type = "string", unique = true },
        { "age", type = "integer", nullable = true },
        { "born", type = "timestamp", nullable = true } }
    given[#given + 1] = i % 2 == 0 and { "parent", many_to_one = "Entity" .. (i - 1), nullable = true }
        or { "children", one_to_many = "Entity" .. (i + 1), mapped_by = "parent" }
    entities[i] = orm.entity(given)
end
]]

local CREATE = [[
for _, name in ipairs { "entity_1", "entity_2" } do
    em:execute("CREATE TABLE " .. name .. " (id integer PRIMARY KEY, name text, email text, age integer, "
        .. "born text, parent_id integer)")
end
]]

local HEAD = [[
local orm = require "heddle"

local function count(pattern)
    local found = 0
    for name in pairs(package.loaded) do
        if name == "heddle" or name:find(pattern or "^heddle%.") then found = found + 1 end
    end
    return found
end
]]

local root = lfs.currentdir()
local script = 0

-- What a program prints that runs in a process of its own, in `dir`.
local function run(text, dir, env)
    script = script + 1
    local path = ("%s/start%d.lua"):format(os.getenv "HEDDLE_TEST_TMP", script)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    local pipe = io.popen(("cd %s && %s %s %s 2>&1"):format(dir or ".", env or "", os.getenv "HEDDLE_TEST_LUA", path))
    local lines = {}
    for line in pipe:lines() do lines[#lines + 1] = line end
    pipe:close()
    return lines, path
end

local function program(text, ...) return run(HEAD .. ENTITIES .. text, ...) end

local INIT = 'orm.init { driver = "sqlite", database = ":memory:", entities = entities }\n'
local EM = INIT .. "local em, E, F = orm.em():fork(), entities[1], entities[2]\n" .. CREATE

-- One use of every room that a program calls by a name of its own, each the first of its process.
local USES = [[
local e = em:create(E, { name = "a", email = "a@b.c" })
em:persist(e):flush()
e.age = 3
em:flush()
assert(em:find_one(E, e.id) == e and em:find(E, { age = orm.op.gte(3) }, { order_by = { "name" } })[1] == e)
local child = F { name = "c", email = "c@b.c", parent = e }
em:persist(child):flush()
assert(#e.children:load() == 1 and e.children[1] == child and orm.is_initialized(child))
assert(orm.to_table(e).name == "a" and em:count(E, {}) == 1 and em:contains(e))
assert(em:query(E, "e"):where({ name = "a" }):all()[1] == e)
assert(em:find_by_cursor(E, {}, { first = 1, order_by = { "id" } }).items[1] == e)
for row in em:stream(E, {}) do assert(row.name == "a") end
em:transactional(function(inner) inner:upsert(E, { id = e.id, name = "b", email = "a@b.c" }) end)
assert(em:update_where(E, { id = e.id }, { age = 4 }) == 1 and em:delete_where(E, { id = 99 }) == 0)
assert(em:fork():merge(e).id == e.id and em:repository(E):count {} == 1 and em:refresh(e) == e)
assert(orm.fn.count "id" and orm.array {} and orm.type { column = "text" })
assert(orm.now() and orm.date("%Y", 0) == "1970")
assert(#orm.instance().schema:create_sql() > 0 and orm.factory and orm.fake)
em:remove(child):remove(e):flush()
em:clear()
print "all of it"
]]

describe("start", function()
    it("S1: require loads few modules, no driver among them, and init of plain entities hardly more", function()
        local lines = program("print(count())\n" .. INIT .. "print(count(), count '^heddle.sqlite$', "
            .. "count '^heddle.postgres$')", nil, nil)
        local first, of_init = tonumber(lines[1]), tonumber((lines[2]:match "^%d+"))
        assert.is_true(first <= 30, lines[1])
        assert.is_true(of_init <= 31, lines[2])
        -- `heddle` itself is counted each time.
        assert.equal("2\t1", lines[2]:match "\t(.*)$")
    end)

    it("S1: the first find of a process loads what finds need, and none of the other rooms", function()
        local lines = program(EM .. [[
em:find_one(E, 1)
print(count())
for _, room in ipairs { "query", "upsert", "stream", "joined", "flush", "to_table", "paging" } do
    if count("^heddle%." .. room .. "$") > 1 then print(room) end
end]])
        assert.is_true(tonumber(lines[1]) <= 110, lines[1])
        assert.is_nil(lines[2])
    end)

    it("S2: every room opens at its first use, in whatever coroutine that is", function()
        assert.same({ "all of it" }, (program(EM .. USES)))
        assert.same({ "all of it" }, (program(EM .. "coroutine.wrap(function()\n" .. USES .. "end)()")))
    end)

    it("S2: what one room gives to another is there, whichever is asked for first", function()
        local uses = {
            "assert(#em:find(E, { name = orm.op.ref 'email' }) == 0)",
            "for _ in em:query(E, 'e'):stream() do end",
            "assert(em:update_where(E, { name = orm.op.ref 'email' }, { age = 1 }) == 0)",
            "assert(#em:find(E, { id = orm.op.one_of(em:query(E, 'e'):select { 'id' }) }) == 0)",
            "assert(#em:find(E, { children = orm.op.some { parent = E { id = 1 } } }) == 0)",
            "E { name = 'x' }.children:add(F { name = 'y' })",
            "assert(F { parent = E { name = 'x' } }.parent.name == 'x')",
            "em:persist(F { name = 'y', email = 'z', parent = em:create(E, { name = 'x', email = 'q' }) }):flush()",
            "em:remove(em:get_reference(E, 1))",
        }
        for _, use in ipairs(uses) do
            local lines = program(EM .. use .. "\nprint 'ok'")
            assert.same({ "ok" }, lines, use)
        end
    end)

    it("S2: a program may leave its directory and change package.path after it has loaded Heddle", function()
        local lua = os.getenv "HEDDLE_TEST_LUA"
        local build = lua:match "([%w.]+)$"
        local env = ("LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./build/%s/?.so;;'"):format(build)
        local left = HEAD:gsub("\n", "\nlocal lfs = require 'lfs'; lfs.chdir '/'\n", 1)
        local lines = run(left .. ENTITIES .. EM .. USES, root, env)
        assert.same({ "all of it" }, lines)
        left = HEAD:gsub("\n", "\npackage.path, package.cpath = '', ''\n", 1)
        lines = run(left .. ENTITIES .. EM .. USES, root, env)
        assert.same({ "all of it" }, lines)
    end)

    it("S2: another heddle on the path of a later moment is not mixed in", function()
        local dir = os.getenv "HEDDLE_TEST_TMP" .. "/other"
        lfs.mkdir(dir)
        lfs.mkdir(dir .. "/heddle")
        for _, name in ipairs { "op", "fetch", "date" } do
            local file = io.open(("%s/heddle/%s.lua"):format(dir, name), "w")
            file:write "error 'of another heddle'"
            file:close()
        end
        local lines = program(("package.path = %q .. package.path\n"):format(dir .. "/?.lua;") .. EM .. USES)
        assert.same({ "all of it" }, lines)
    end)

    it("S3: what is called for the first time blames the program's line as it does ever after", function()
        local lines, path = program(EM .. [[
local function blame(fn)
    for _ = 1, 2 do
        local ok, err = pcall(fn)
        print(ok, err.kind, err.where)
    end
end
blame(function() em:find_by_cursor(E, {}, { wrong = 1 }) end)
blame(function() E { wrong = 1 } end)
blame(function() em:query(E, "e"):where({ wrong = 1 }):all() end)]])
        assert.equal(6, #lines)
        for i = 1, 6, 2 do
            assert.equal(lines[i], lines[i + 1])
            local _, line = lines[i]:match "^false\t(%S+)\t.*start%d+%.lua:(%d+)$"
            assert.is_truthy(line, lines[i])
        end
        assert.is_truthy(path)
    end)

    it("S3: after the first use nothing stands between a caller and the function", function()
        local lines = program(EM .. USES .. [[
require("heddle.later").load_all()
local own = debug.getinfo(require("heddle.later").module, "S").source
for name, module in pairs(package.loaded) do
    if name:find "^heddle" and name ~= "heddle.later" and type(module) == "table" then
        for key, value in pairs(module) do
            if type(value) == "function" and debug.getinfo(value, "S").source == own then print(name, key) end
        end
    end
end]])
        assert.same({ "all of it" }, lines)
    end)

    it("S3: what a module's stand-in stands for is a table", function()
        local pipe = io.popen [[grep -rhoE 'later\.module\("[^"]+"' lua/heddle]]
        local seen = 0
        for line in pipe:lines() do
            local name = line:match '"([^"]+)"'
            assert.equal("table", type(require(name)), name)
            seen = seen + 1
        end
        pipe:close()
        assert.is_true(seen > 50)
    end)

    it("S4: a process can load everything beforehand", function()
        local lines = program("require('heddle.later').load_all()\n" .. INIT
            .. "local open = count()\nlocal searchers = package.searchers or package.loaders\n"
            .. "local em, E, F = orm.em():fork(), entities[1], entities[2]\n" .. CREATE
            .. USES:gsub("and orm.factory and orm.fake", ""):gsub("assert%(#orm.instance%(%).-\n", "\n")
            .. "print(count() - open)")
        assert.same({ "all of it", "0" }, lines)
    end)
end)

databases.each(function(db)
    describe("the first query of a process", function()
        after_each(function() db:close() end)

        local function options(config, more)
            local list = {}
            for _, key in ipairs { "driver", "database", "host", "port", "user" } do
                local value = more and more[key] or config[key]
                if value ~= nil then list[#list + 1] = ("%s = %q"):format(key, tostring(value)) end
            end
            return (table.concat(list, ", "):gsub('port = "(%d+)"', "port = %1"))
        end

        local FIRST = [[
local User = orm.entity { name = "User", table = "users", { "id", type = "integer", primary = true },
    { "name", type = "string" }, { "boss", many_to_one = "User", nullable = true } }
local instance = orm.init { %s, entities = { User } }
local sent = {}
if %s then instance:on("query", function(entry) sent[#sent + 1] = entry.sql end) end
print(orm.em():fork():find_one(User, 1).name)
local stats = instance:pool_stats()
print(#sent, stats.opened, stats.acquired)]]

        it("S5: takes one connection and sends nothing but the query", function()
            local config = db:config()
            db:raw():exec "CREATE TABLE users (id integer PRIMARY KEY, name text, boss_id integer)"
            db:raw():exec "INSERT INTO users VALUES (1, 'Ann', NULL)"
            assert.same({ "Ann", "1\t1\t1" }, (run(HEAD .. FIRST:format(options(config), "true"))))
            assert.same({ "Ann", "0\t1\t1" }, (run(HEAD .. FIRST:format(options(config), "false"))))
            if db.name ~= "postgres" then return end
            local r = relay.start()
            finally(function() r:stop() end)
            r:reset()
            assert.same({ "Ann", "0\t1\t1" }, (run(HEAD .. FIRST:format(options(config, r), "false"))))
            assert.equal(1, r:connections())
            assert.equal(1, r:statements())
        end)
    end)
end)
