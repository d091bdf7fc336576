-- The helpers themselves: a relay that miscounts, or a raw connection that rounds, would let wrong code pass.

local asserted = require "spec.support.asserted"
local databases = require "spec.support.databases"
local raw = require "spec.support.raw"

databases.each(function(db)
    it("raw connections give strings and NULL as false", function()
        db:config()
        assert.equal(0, db:raw():exec "create table t (a integer, b text)")
        assert.equal(2, db:raw():exec "insert into t values (1, 'x'), (null, '')")
        assert.same({ { "1", "x" }, { raw.null, "" } }, db:raw():rows "select a, b from t order by b desc")
        assert.equal("2", db:raw():value "select count(*) from t")
        assert.has_error(function() db:raw():exec "nonsense" end)
    end)

    it("every config is a database of its own, and empty after close", function()
        local first = db:config { pool = { max = 1 } }
        assert.equal(db.name, first.driver)
        assert.equal(1, first.pool.max)
        db:raw():exec "create table t (a integer)"
        local second = db:config()
        assert.not_equal(first.database, second.database)
        assert.has_error(function() db:raw():rows "select a from t" end)
        assert.equal("0", db:raw(first):value "select count(*) from t")
        db:close()
        for _ = 1, 2 do
            db:config()
            assert.has_error(function() db:raw():rows "select a from t" end)
        end
    end)
end)

databases.on("postgres", function(db)
    describe("the relay", function()
        local relay = require "spec.support.relay"
        local r, config

        local function connect()
            return raw.postgres(("host=%s port=%d user=%s dbname=%s"):format(
                r.host, r.port, config.user, config.database))
        end

        before_each(function()
            config = db:config()
            db:raw():exec "create table t (a integer)"
            r = relay.start()
        end)

        after_each(function()
            r:stop()
            db:close()
        end)

        it("counts round trips and statements", function()
            local x = connect()
            r:reset()
            for _ = 1, 5 do x:rows "select 1" end
            assert.equal(5, r:turns())
            assert.equal(5, r:statements())
            assert.equal(0, r:connections())
            x:close()
            connect():close()
            assert.equal(1, r:connections())
        end)

        it("makes the k-th statement fail, once", function()
            local x = connect()
            r:fault(2, "error")
            x:exec "insert into t values (1)"
            assert.has_error(function() x:exec "insert into t values (2)" end)
            x:exec "insert into t values (3)"
            assert.same({ { "1" }, { "3" } }, db:raw():rows "select a from t order by a")
            x:close()
        end)

        for mode, arrives in pairs { before = false, after = true, swallow = true } do
            it("closes the connection at the k-th statement: " .. mode, function()
                local x = connect()
                r:close_at(2, mode)
                x:exec "insert into t values (1)"
                assert.has_error(function() x:exec "insert into t values (2)" end)
                x:close()
                if mode == "after" then -- the server may still be at it
                    local others = "select count(*) from pg_stat_activity where datname = current_database() "
                        .. "and backend_type = 'client backend' and pid <> pg_backend_pid()"
                    while db:raw():value(others) ~= "0" do db:raw():rows "select pg_sleep(0.005)" end
                end
                assert.equal(arrives and "2" or "1", db:raw():value "select count(*) from t")
                x = connect()
                x:exec "insert into t values (3)"
                x:close()
            end)
        end

        it("refuses and drops connections", function()
            local x = connect()
            r:refuse(true)
            assert.has_error(connect)
            assert.equal("1", x:value "select 1")
            r:refuse(false)
            connect():close()
            r:drop()
            assert.has_error(function() x:rows "select 1" end)
            x:close()
        end)
    end)
end)

it("a specification that asserts nothing fails", function()
    local ok, err = pcall(asserted.counting(function() end))
    local is_fine = pcall(asserted.counting(function() assert.equal(1, 1) end))
    assert.same({ false, "this specification asserts nothing", true }, { ok, err, is_fine })
end)
