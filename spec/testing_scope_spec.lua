-- orm.testing: whatever happens inside, the database is afterwards as it was.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

local User = orm.entity {
    name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "age", type = "integer", nullable = true },
    repository = { grown = function(self) return self:count { age = orm.op.gte(18) } end },
}

local function make(name, age) return User { name = name, age = age } end

databases.each(function(db)
    describe("testing", function()
        local instance, other, em

        before_each(function()
            instance = orm.init(db:config { entities = { User } })
            instance.schema:create()
            other = orm.init(db:config { context_name = "other", entities = { User } })
            other.schema:create()
            em = orm.em()
            em:persist_and_flush(make("kept", 30))
            em:clear()
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function names(config)
            local list = {}
            for i, row in ipairs(db:raw(config or instance.config):rows "select name from users order by id") do
                list[i] = row[1]
            end
            return table.concat(list, " ")
        end

        -- Runs `body` in both forms; the database has to be untouched after each.
        local function rolled_back(body)
            local test = orm.testing()
            local ok, err = pcall(body, orm.em())
            test:finish()
            if not ok then error(err, 0) end
            assert.equal("kept", names())
            orm.testing("default", body, orm.em())
            assert.equal("kept", names())
            assert.equal(0, instance:pool_stats().in_use)
            assert.equal(1, em:count(User, {}))
        end

        it("is seen by everybody inside, and gone afterwards", function()
            rolled_back(function(inner)
                inner:persist_and_flush(make "flushed")
                inner:insert(User, { name = "inserted" })
                inner:update_where(User, { name = "kept" }, { age = 1 })
                inner:execute("insert into users (name) values (?)", "raw")
                assert.equal(4, em:count(User, {}))
                assert.equal(4, orm.instance().em:count(User, {}))
                assert.equal(4, orm.get_context():count(User, {}))
                assert.equal(4, orm.repository(User):count {})
                assert.equal(4, inner:fork():count(User, {}))
                assert.equal(4, inner:execute("select count(*) as n from users")[1].n)
                assert.equal("kept", names())
            end)
        end)

        it("transactions are savepoints: they commit, roll back and nest", function()
            rolled_back(function(inner)
                local result = inner:transactional(function(tx)
                    tx:persist(make "one")
                    assert.is_true(tx:in_transaction())
                    pcall(tx.transactional, tx, function(nested)
                        nested:persist(make "lost")
                        error "undo"
                    end)
                    tx:transactional(function(nested) nested:insert(User, { name = "two" }) end)
                    return "result"
                end)
                assert.equal("result", result)
                assert.is_false(inner:in_transaction())
                assert.equal(3, inner:count(User, {}))
                assert.has_error(function()
                    inner:transactional(function(tx)
                        tx:persist_and_flush(make "gone")
                        error "undo"
                    end)
                end)
                assert.equal(3, inner:count(User, {}))
                inner:begin()
                inner:persist(make "three")
                inner:commit()
                inner:begin()
                inner:persist_and_flush(make "four")
                inner:rollback()
                assert.equal(4, inner:count(User, {}))
                inner:transactional(function(tx) tx:insert(User, { name = "five" }) end,
                    { propagation = "requires_new" })
                assert.equal(5, inner:count(User, {}))
                raises("transaction_required", function() inner:commit() end)
            end)
        end)

        it("request contexts, bound functions and coroutines inside belong to it", function()
            rolled_back(function()
                orm.request_context(function()
                    em:persist_and_flush(make "in a request")
                    assert.equal(2, orm.get_context():count(User, {}))
                    orm.request_context(function() em:insert(User, { name = "nested" }) end)
                end)
                assert.equal(3, em:count(User, {}))
                coroutine.wrap(function() em:insert(User, { name = "generator" }) end)()
                coroutine.wrap(orm.bind(function() em:insert(User, { name = "bound" }) end))()
                assert.equal(5, orm.repository(User):count {})
                assert.equal(1, orm.repository(User):grown())
            end)
        end)

        it("failures inside leave it usable: constraints, broken SQL, validation, errors of the program", function()
            rolled_back(function(inner)
                raises("unique_violation", function() inner:persist_and_flush(make "kept") end, "User.name")
                inner:clear()
                assert.equal(1, inner:count(User, {}))
                raises("syntax", function() inner:execute "selct 1" end)
                raises("table_not_found", function() inner:execute "select * from nowhere" end)
                raises("unique_violation", function() inner:insert(User, { name = "kept" }) end)
                raises("unique_violation", function() inner:update_where(User, { id = 1 }, { id = 1, name = "kept" })
                    inner:execute "insert into users (name) values ('kept')" end)
                raises("validation", function() inner:find(User, { age = "x" }) end)
                assert.has_error(function() orm.request_context(function() error "mine" end) end)
                inner:persist_and_flush(make "after")
                assert.equal(2, inner:count(User, {}))
                inner:transactional(function(tx)
                    tx:insert(User, { name = "in a transaction" })
                    pcall(tx.insert, tx, User, { name = "kept" })
                    tx:insert(User, { name = "goes on" })
                end)
                assert.equal(4, inner:count(User, {}))
            end)
        end)

        it("gives back what the function returns, and raises what it raises", function()
            assert.same({ 1, nil, 3, n = 3 }, (function(...)
                return { n = select("#", ...), ... }
            end)(orm.testing("default", function() return 1, nil, 3 end)))
            assert.equal(7, orm.testing(nil, function(x) return x + 1 end, 6))
            local thrown = {}
            local ok, err = pcall(orm.testing, "default", function()
                em:insert(User, { name = "x" })
                error(thrown)
            end)
            assert.is_false(ok)
            assert.equal(thrown, err)
            assert.equal("kept", names())
            raises("context_not_found", function() orm.testing "nowhere" end, "nowhere")
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("finish may be called twice, and after a scope that broke off", function()
            local test = orm.testing()
            em:begin()
            em:persist_and_flush(make "open")
            test:finish()
            test:finish()
            assert.equal("kept", names())
            assert.is_false(em:in_transaction())
            test = orm.testing()
            local fork = em:fork()
            fork:persist_and_flush(make "fork")
            assert.equal(2, em:count(User, {}))
            test:finish()
            assert.equal("kept", names())
            raises("closed", function() fork:count(User, {}) end, "testing")
            assert.equal(1, em:count(User, {}))
        end)

        it("C2: several contexts, one test for each, ended in either order", function()
            for _, first in ipairs { 1, 2 } do
                local tests = { orm.testing(), orm.testing "other" }
                em:insert(User, { name = "here" })
                orm.em("other"):insert(User, { name = "there" })
                orm.em("other"):transactional(function(tx)
                    em:transactional(function(inner) inner:insert(User, { name = "both" }) end)
                    tx:insert(User, { name = "both" })
                end)
                assert.equal(3, em:count(User, {}))
                tests[first]:finish()
                local alive = first == 1 and orm.em("other") or em
                assert.equal(first == 1 and 2 or 3, alive:count(User, {}))
                assert.equal(first == 1 and 1 or 0, (first == 1 and em or orm.em("other")):count(User, {}))
                tests[3 - first]:finish()
                assert.equal("kept", names())
                assert.equal("", names(other.config))
            end
        end)

        it("another context is not touched by a test of the first", function()
            local test = orm.testing()
            orm.em("other"):insert(User, { name = "stays" })
            test:finish()
            assert.equal("stays", names(other.config))
        end)

        it("tests nest", function()
            local outer = orm.testing()
            em:insert(User, { name = "outer" })
            local inner = orm.testing()
            em:insert(User, { name = "inner" })
            assert.equal(3, em:count(User, {}))
            inner:finish()
            assert.equal(2, em:count(User, {}))
            outer:finish()
            assert.equal("kept", names())
        end)

        it("tests inside end with the one around them", function()
            local outer = orm.testing()
            local inner, innermost = orm.testing(), orm.testing()
            local left = orm.em():fork()
            em:insert(User, { name = "inner" })
            outer:finish()
            assert.equal("kept", names())
            assert.equal(1, em:count(User, {}))
            raises("closed", function() left:count(User, {}) end)
            innermost:finish()
            inner:finish()
            assert.equal(1, em:count(User, {}))
            assert.equal(0, instance:pool_stats().in_use)
        end)

        it("listeners hear of the transactions inside as of any other", function()
            local heard = {}
            instance:on("after_commit", function() heard[#heard + 1] = "commit" end)
            instance:on("after_rollback", function() heard[#heard + 1] = "rollback" end)
            orm.testing("default", function()
                em:persist_and_flush(make "a")
                em:transactional(function(tx) tx:persist(make "b") end)
                pcall(em.transactional, em, function() error "undo" end)
            end)
            assert.same({ "commit", "commit", "rollback" }, heard)
        end)

        describe("around each spec", function()
            local test

            before_each(function() test = orm.testing() end)
            after_each(function() test:finish() end)

            for i = 1, 3 do
                it("starts from the same rows (" .. i .. ")", function()
                    assert.equal(1, em:count(User, {}))
                    em:persist_and_flush(make("the same name", 99))
                    assert.equal(2, orm.repository(User):grown())
                    if i == 2 then pcall(em.persist_and_flush, em, make "kept") end
                end)
            end
        end)
    end)
end)
