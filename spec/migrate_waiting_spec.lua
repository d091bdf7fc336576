-- Migrations under a scheduler: they wait as everything else does, and coroutines of one process take turns.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local loop = require "spec.support.loop"
local migrations = require "spec.support.migrations"
local orm = require "heddle"

databases.each(function(db)
    describe("under a scheduler", function()
        local dir, instance, config

        before_each(function()
            dir = migrations.directory()
            config = db:config { migrations = dir.path }
            instance = orm.init(config)
            orm.use(loop.wait)
        end)

        after_each(function()
            orm.use "blocking"
            orm.close()
            db:close()
        end)

        local MOVE = [[return { up = function(m)
            m:sql "CREATE TABLE a (x integer)"
            for i = 1, 3 do
                m:sql("INSERT INTO a VALUES (?)", i)
                assert(m:execute("SELECT count(*) AS n FROM a")[1].n == i)
            end
        end }]]

        it("migrations wait as all else does", function()
            dir:write("20260101000000_a.lua", MOVE)
            local names
            loop.spawn(function() names = instance.migrator:up() end)
            loop.run()
            assert.same({ "20260101000000_a" }, names)
            assert.equal("3", db:raw():value "select count(*) from a")
        end)

        it("two contexts of one database take turns, one context is one at a time", function()
            local copy = { context_name = "secondary", migrations = migrations.directory().path }
            for key, value in pairs(config) do copy[key] = copy[key] or value end
            local other = orm.init(copy)
            dir:write("20260101000000_a.lua", MOVE)
            local file = io.open(copy.migrations .. "/20260101000000_b.lua", "w")
            file:write((MOVE:gsub("return {", "return { context = 'secondary',"):gsub("TABLE a", "TABLE b")
                :gsub("INTO a", "INTO b"):gsub("FROM a", "FROM b")))
            file:close()
            local first, second
            loop.spawn(function() first = instance.migrator:up() end)
            loop.spawn(function() second = other.migrator:up() end)
            loop.run()
            assert.same({ "20260101000000_a" }, first)
            assert.same({ "20260101000000_b" }, second)
            assert.same({ { "default" }, { "secondary" } },
                db:raw():rows "select context from heddle_migrations order by 1")
        end)

        it("a coroutine that is dropped in the middle gives everything back", function()
            dir:write("20260101000000_a.lua", [[return { up = function(m)
                m:sql "CREATE TABLE a (x integer)"
                coroutine.yield "in the middle"
            end }]])
            orm.use "blocking"
            do
                local co = coroutine.create(function() instance.migrator:up() end)
                local _, said = coroutine.resume(co)
                assert.equal("in the middle", said)
                co = nil -- luacheck: ignore
            end
            for _ = 1, 3 do collectgarbage() end
            dir:write("20260101000000_a.lua", "return { up = function(m) m:sql 'CREATE TABLE a (x integer)' end }")
            assert.same({ "20260101000000_a" }, instance.migrator:up())
            if db.name == "sqlite" then
                assert.equal(1, orm.em():execute("PRAGMA foreign_keys")[1].foreign_keys)
            end
        end)

        it("a migration that is in the middle is told to others of its process", function()
            dir:write("20260101000000_a.lua", [[return { up = function(m)
                m:sql "CREATE TABLE a (x integer)"
                coroutine.yield()
            end }]])
            orm.use "blocking"
            local co = coroutine.create(function() return instance.migrator:up() end)
            assert(coroutine.resume(co))
            expect.raises("busy", function() instance.migrator:up() end, "in this process already")
            assert(coroutine.resume(co))
            assert.same({}, instance.migrator:pending())
        end)
    end)
end)
