-- What happens to a new connection before it is used: passwords that are functions, on_connect.

local databases = require "spec.support.databases"
local orm = require "heddle"
local raises = require("spec.support.unit").raises

local PASSWORD = "k33p-it/secret@here"

-- Everything that can be reached from a value by pairs and tostring, as one text.
local function everything(value, seen, out)
    seen, out = seen or {}, out or {}
    out[#out + 1] = tostring(value)
    if type(value) ~= "table" or seen[value] then return table.concat(out, "\n") end
    seen[value] = true
    for key, item in pairs(value) do
        everything(key, seen, out)
        everything(item, seen, out)
    end
    return table.concat(out, "\n")
end

describe("connecting:", function()
    local function entity(name)
        return orm.entity { name = name, { "id", type = "integer", primary = true }, { "name", type = "string" } }
    end

    databases.each(function(db)
        after_each(function()
            orm.close()
            db:close()
        end)

        it("on_connect runs on every new connection, before anything else, and only then", function()
            local seen = {}
            local instance = orm.init(db:config { pool = { max = 2 }, on_connect = function(conn)
                local rows = conn:execute("select ? as answer", 42)
                seen[#seen + 1] = tonumber(rows[1].answer)
                assert(conn:execute "create temporary table if not exists mine (n integer)")
                assert.is_nil(tostring(conn):find("k33p", 1, true))
                assert.matches(db.name, tostring(conn))
            end })
            local a, b = orm.em():fork(), orm.em():fork()
            for _ = 1, 3 do a:execute "select 1" end
            assert.same({ 42 }, seen)
            a:begin()
            a:execute "insert into mine values (1)"
            b:execute "insert into mine values (1)"
            a:commit()
            assert.same({ 42, 42 }, seen)
            assert.equal(2, instance:pool_stats().opened)
        end)

        it("on_connect runs inside the transaction that met a fresh connection, and does not disturb it", function()
            local Thing = entity "Thing"
            local instance = orm.init(db:config { entities = { Thing }, on_connect = function(conn)
                conn:execute "select 1"
                conn:execute "select 2"
            end })
            instance.schema:create()
            local stats = instance:pool_stats()
            orm.close()
            assert.equal(1, stats.opened)
            orm.init(db:config { entities = { Thing }, on_connect = function(conn) conn:execute "select 1" end })
            orm.instance().schema:create()
            local em = orm.em():fork()
            em:transactional(function()
                em:persist(em:create(Thing, { name = "in" }))
                em:flush()
                em:transactional(function() em:persist(em:create(Thing, { name = "deeper" })) end)
            end)
            assert.equal("2", db:raw():value "select count(*) from thing")
        end)

        it("an on_connect that fails is the caller's error, and its connection is not kept", function()
            local fail = true
            local instance = orm.init(db:config { on_connect = function(conn)
                if fail == "sql" then conn:execute "select no_such_function_of_ours()" end
                if fail then error("not today", 0) end
            end })
            local em = orm.em():fork()
            for _ = 1, 3 do
                local ok, err = pcall(em.execute, em, "select 1")
                assert.same({ false, "not today" }, { ok, err })
            end
            assert.same({ false, "not today" }, { instance:check_connection() })
            fail = "sql"
            raises("syntax", em.execute, em, "select 1")
            assert.same({ 0, 0 }, { instance:pool_stats().size, instance:pool_stats().in_use })
            fail = false
            assert.same({ { one = 1 } }, em:execute "select 1 as one")
        end)
    end)

    databases.on("postgres", function(db)
        local role, secret = os.getenv "HEDDLE_TEST_PG_PASSWORD_ROLE", os.getenv "HEDDLE_TEST_PG_PASSWORD"

        after_each(function()
            orm.close()
            db:close()
        end)

        it("a password function is asked for each new connection", function()
            local asked = 0
            local instance = orm.init(db:config { user = role, password = function()
                asked = asked + 1
                return asked == 2 and "stale token" or secret
            end })
            local em = orm.em():fork()
            assert.same({ { me = role } }, em:execute "select current_user as me")
            em:execute "select 1"
            assert.equal(1, asked)
            em:begin()
            em:execute "select 1"
            local other = orm.em():fork()
            raises("connection", other.execute, other, "select 1")
            assert.same({ { n = 2 } }, other:execute "select 2 as n")
            em:commit()
            assert.equal(3, asked)
            assert.is_nil(everything(instance):find(secret, 1, true))
        end)

        it("a password function that fails is the caller's error", function()
            local answer
            local instance = orm.init(db:config { user = role, password = function()
                if not answer then error("vault is down", 0) end
                return answer
            end })
            local em = orm.em():fork()
            assert.same({ false, "vault is down" }, { pcall(em.execute, em, "select 1") })
            assert.same({ false, "vault is down" }, { instance:check_connection() })
            answer = 42
            raises("config", em.execute, em, "select 1")
            assert.equal(0, instance:pool_stats().size)
            answer = secret
            assert.same({ { n = 1 } }, em:execute "select 1 as n")
        end)

        it("a wrong password is a connection error without the password", function()
            local instance = orm.init(db:config { user = role, password = PASSWORD })
            local ok, err = instance:check_connection()
            assert.is_false(ok)
            assert.is_true(orm.is_error(err, "connection"))
            assert.is_nil(everything(err):find("k33p", 1, true))
            raises("connection", instance.connect, instance)
        end)
    end)
end)
