local config = require "heddle.config"
local env = require "heddle.env"
local errors = require "heddle.errors"

local function refused(given, ...)
    local ok, err = pcall(config.check, given)
    assert.is_false(ok)
    assert.is_true(errors.is_error(err, "config"), tostring(err))
    for _, words in ipairs { ... } do
        assert.truthy(err.message:find(words, 1, true), ("%q is not in %q"):format(words, err.message))
    end
    return err
end

local function options_of(given)
    local map = {}
    for _, pair in ipairs(config.check(given).driver_options()) do map[pair[1]] = pair[2] end
    return map
end

describe("configuration", function()
    it("contract 2: defaults are filled in", function()
        local made = config.check { database = "app.db" }
        assert.equal("default", made.context_name)
        assert.equal("sqlite", made.driver)
        assert.same({ min = 0, max = 10, acquire_timeout = 30, idle_timeout = 60, max_lifetime = 1800 }, made.pool)
        assert.is_true(made.register_request_context)
        assert.is_nil(made.allow_global_context)
        assert.equal("auto", made.flush_mode)
        assert.equal(1000, made.batch_size)
        assert.is_true(made.prepare)
        assert.same({ path = "migrations" }, made.migrations)
        assert.same({}, made.entities)
    end)

    it("contract 2: an unknown key names the nearest one", function()
        local err = refused({ context_name = "secondary", databse = "app" }, "'secondary'", "did you mean 'database'?")
        assert.equal("secondary", err.context)
        refused({ database = "a", pool = { maximum = 1 } }, "pool")
        refused({ database = "a", pool = { acquire_timout = 1 } }, "did you mean 'acquire_timeout'?")
        refused({ database = "a", naming_strategy = { tabel = print } }, "did you mean 'table'?")
        refused({ "app.db" }, "without its key")
    end)

    it("contract 2: every key of the contract is known", function()
        local made = config.check {
            context_name = "all", driver = "postgres", host = "h", port = 5433, database = "d", user = "u",
            password = "p", schema = "s", ssl_mode = "require", options = { keepalives = 1 }, entities = {},
            pool = { min = 1, max = 2, acquire_timeout = 0.5, idle_timeout = 0, max_lifetime = 10 },
            connect_timeout = 2.5, statement_timeout = 3, register_request_context = false,
            allow_global_context = true, debug = true, logger = print, slow_query = 0.1,
            naming_strategy = { table = string.upper }, flush_mode = "commit", batch_size = 10, migrations = "m",
            seeds = { path = "s" }, replicas = { { host = "r" } }, application_name = "a",
            pragmas = { synchronous = 1 }, prepare = false, on_connect = print, retry = 2,
        }
        assert.equal("USER", made.naming.table("User"))
        assert.equal(print, made.logger)
        assert.equal(false, made.register_request_context)
        assert.same({ path = "m" }, made.migrations)
        assert.equal("h", made.host)
    end)

    it("wrong values are refused by name and without the value", function()
        for key, value in pairs {
            driver = "mysql", port = 0, host = 7, ssl_mode = "on", connect_timeout = -1, statement_timeout = 0 / 0,
            flush_mode = "manual", batch_size = 0, retry = 1.5, logger = "print", on_connect = {}, debug = "yes",
            password = 7, entities = "entities/*.lua", replicas = { "h" }, context_name = "", url = "", migrations = 1,
        } do
            refused({ driver = key ~= "driver" and "postgres" or value, database = "d", [key] = value },
                "'" .. key .. "'")
        end
        for key, value in pairs { password = { "hush-1" }, url = "hush-1", host = { "hush-1" }, user = { "hush-1" } } do
            local err = refused({ driver = "postgres", database = "d", [key] = value }, "'" .. key .. "'")
            assert.is_nil(tostring(err):find("hush", 1, true), tostring(err))
        end
        refused({ database = "a", pool = { min = 3, max = 2 } }, "'min' (3)", "'max' (2)")
        refused({ database = "a", pool = { max = 0 } }, "'max'")
        refused({ driver = "postgres" }, "'database' is missing")
        refused({}, "'database' is missing")
        refused({ driver = "postgres", database = "d", port = "5432,70000" }, "'port'")
        refused({ driver = "postgres", database = "d", options = { ["a b"] = 1 } }, "'options'")
        refused({ driver = "postgres", database = "d", options = { a = {} } }, "'options.a'")
        refused({ database = "d", pragmas = { journal_mode = "wal; drop table t" } }, "'pragmas.journal_mode'")
        refused({ database = "d", options = { busy_timeot = 1 } }, "did you mean 'busy_timeout'?")
    end)

    it("PostgreSQL is given libpq's words", function()
        assert.same({
            host = "h", port = "5432", dbname = "d", user = "u", password = "p", sslmode = "require",
            application_name = "a", connect_timeout = "2.5", keepalives = "off", target_session_attrs = "any",
            prepare = "off", options = [[-c search_path="my\ ""app\\" -c statement_timeout=1500 -c geqo=off]],
        }, options_of {
            driver = "postgres", host = "h", port = 5432.0, database = "d", user = "u", password = "p",
            schema = [[my "app\]], ssl_mode = "require", application_name = "a", connect_timeout = 2.5,
            statement_timeout = 1.5, prepare = false,
            options = { keepalives = false, target_session_attrs = "any", options = "-c geqo=off" },
        })
    end)

    it("SQLite is given its file, options and pragmas, and nothing that is not its own", function()
        assert.same({ database = "a.db", busy_timeout = "0.5", ["pragma.cache_size"] = "-2000",
            ["pragma.recursive_triggers"] = "on" }, options_of {
            driver = "sqlite", database = "a.db", host = "h", user = "u", password = "p", ssl_mode = "require",
            options = { busy_timeout = 0.5 }, pragmas = { cache_size = -2000, recursive_triggers = true },
        })
        assert.equal("0", options_of({ database = "a.db", prepare = false }).statement_cache)
    end)

    it("contract 2: a database in memory is one connection that is never dropped for its age", function()
        for _, name in ipairs { ":memory:", "file::memory:?cache=shared", "file:x?mode=memory" } do
            local made = config.check { database = name, pool = { min = 2, max = 10, idle_timeout = 1 } }
            assert.is_true(made.memory)
            assert.same({ min = 0, max = 1, acquire_timeout = 30, idle_timeout = 0, max_lifetime = 0 }, made.pool)
        end
        assert.is_false(config.check({ database = "memory.db" }).memory)
    end)

    it("the driver follows the address, the host, or is SQLite", function()
        assert.equal("postgres", config.check({ url = "postgres://h/d" }).driver)
        assert.equal("sqlite", config.check({ url = "sqlite:a.db" }).driver)
        assert.equal("postgres", config.check({ host = "h", database = "d" }).driver)
        assert.equal("sqlite", config.check({ database = "d" }).driver)
        refused({ driver = "sqlite", url = "postgres://h/d" }, "'driver'", "'url'")
    end)

    it("addresses are read with their escapes, several hosts and parameters", function()
        assert.same({ host = "h", port = "5433", dbname = "d b", user = "u@x", password = "p:/w", sslmode = "require" },
            options_of { url = "postgres://u%40x:p%3A%2Fw@h:5433/d%20b?sslmode=require" })
        assert.same({ host = "a,b,::1", port = "1,,3", dbname = "d" },
            options_of { url = "postgresql://a:1,b,[::1]:3/d" })
        assert.same({ host = "/run/pg", dbname = "d" }, options_of { url = "postgres://%2Frun%2Fpg/d" })
        assert.same({ host = "/run/pg", dbname = "d" }, options_of { url = "postgres:///d?host=/run/pg" })
        assert.same({ host = "h", dbname = "other" }, options_of { url = "postgres://h/d", database = "other" })
        assert.same({ database = "/abs/a.db" }, options_of { url = "sqlite:///abs/a.db" })
        assert.same({ database = "rel/a.db", mode = "ro" }, options_of { url = "sqlite:rel/a.db?mode=ro" })
        assert.same({ database = ":memory:" }, options_of { url = "sqlite::memory:" })
        for _, address in ipairs { "mysql://h/d", "app.db", "postgres:d", "postgres://h:x/d", "postgres://u:%zz@h/d",
            "postgres://h/d?sslmode", "sqlite:a.db?nonsense=1" } do
            local err = refused({ url = address }, "'url'")
            assert.is_nil(err.message:find(address, 1, true))
        end
        refused({ url = "sqlite:" }, "'url'")
    end)

    it("no password is shown by tostring, by the fields or by a message", function()
        local secret = "s3cret"
        for _, given in ipairs {
            { driver = "postgres", database = "d", user = "u", host = "h", port = 1, password = secret },
            { url = "postgres://u:s3cret@h:1/d" },
            { driver = "postgres", database = "d", options = { password = secret } },
            { url = "postgres://h/d?password=s3cret" },
        } do
            local made = config.check(given)
            assert.is_nil(tostring(made):find(secret, 1, true))
            local function search(value)
                assert.not_equal(secret, value)
                if type(value) == "string" then assert.is_nil(value:find(secret, 1, true)) end
                if type(value) == "table" then
                    for key, item in pairs(value) do
                        search(key)
                        search(item)
                    end
                end
            end
            search(made)
            assert.equal(secret, options_of(given).password)
        end
        assert.equal("config<default: postgres u@h:1/d>", tostring(config.check { url = "postgres://u:s3cret@h:1/d" }))
        local err = refused { url = "postgres://u:s3cret@h:port/d" }
        assert.is_nil(tostring(err):find(secret, 1, true))
    end)

    it("contract 2: a password may be a function, which is kept and not called", function()
        local function password() error("called") end
        local made = config.check { driver = "postgres", database = "d", password = password }
        assert.equal(password, made.password_function)
        assert.is_nil(options_of({ driver = "postgres", database = "d", password = password }).password)
    end)

    it("replicas differ from the primary in what they say", function()
        local made = config.check {
            driver = "postgres", host = "primary", database = "d", user = "u", password = "p",
            replicas = { { host = "replica" }, { url = "postgres://x:y@other/e" } },
        }
        local lists = {}
        for position, list in ipairs(made.replica_options()) do
            lists[position] = {}
            for _, pair in ipairs(list) do lists[position][pair[1]] = pair[2] end
        end
        assert.same({ { host = "replica", dbname = "d", user = "u", password = "p" },
            { host = "other", dbname = "e", user = "x", password = "y" } }, lists)
        assert.same({ { host = "replica", database = "d", user = "u" },
            { host = "other", database = "e", user = "x" } }, made.replicas)
        local function password() end
        assert.same({ [2] = password }, config.check { driver = "postgres", database = "d", password = "p",
            replicas = { {}, { password = password } } }.replica_passwords)
        assert.equal(0.5, config.check { driver = "postgres", database = "d", connect_timeout = 0.5,
            replicas = { {} } }.replicas[1].connect_timeout)
        refused({ driver = "postgres", database = "d", replicas = { { hots = "r" } } }, "replicas, item 1",
            "did you mean 'host'?")
    end)

    it("contract 7: migrations of a context live beside the file that configures it", function()
        assert.same({ path = "conf/migrations/secondary" },
            config.check({ context_name = "secondary", database = "a.db" }, "conf").migrations)
        assert.same({ path = "/abs" }, config.check({ database = "a.db", migrations = "/abs" }, "conf").migrations)
        assert.equal("a.db", options_of({ database = "a.db" }).database)
    end)
end)

describe("orm.config_from_env", function()
    local count = 0

    -- A prefix that no other spec uses, with these variables.
    local function prefix(variables)
        count = count + 1
        local name = "HEDDLE_SPEC_" .. count
        local path = os.getenv("HEDDLE_TEST_TMP") .. "/config_spec.env"
        local file = assert(io.open(path, "w"))
        for key, value in pairs(variables) do file:write(name, "_", key, "=", value, "\n") end
        file:close()
        env.load(path)
        return name
    end

    it("contract 2: reads host, port, name, user and password of its prefix; overrides win", function()
        local name = prefix { HOST = "localhost", PORT = "5433", NAME = "app", USER = "postgres", PASSWORD = "pw",
            SCHEMA = "s", SSL_MODE = "prefer", POOL_MIN = "1", POOL_MAX = "4" }
        assert.same({
            driver = "postgres", host = "localhost", port = 5433, database = "other", user = "postgres",
            password = "pw", schema = "s", ssl_mode = "prefer", pool = { min = 1, max = 4, idle_timeout = 9 },
            context_name = "secondary",
        }, env.config(name, { context_name = "secondary", database = "other", pool = { idle_timeout = 9 } }))
    end)

    it("the driver is the prefix's own, else that of the host", function()
        assert.equal("sqlite", env.config(prefix { HOST = "h", NAME = "a.db", DRIVER = "sqlite" }).driver)
        assert.equal("postgres", env.config(prefix { HOST = "h", NAME = "a" }).driver)
        local made = env.config(prefix { HOST = "h", NAME = "a", PASSWORD = "p" }, { driver = "sqlite",
            database = ":memory:" })
        assert.equal("config<default: sqlite :memory:>", tostring(config.check(made)))
    end)

    it("an address stands for host, port, name and user", function()
        local variables = { URL = "postgres://u@far/app", HOST = "near", NAME = "x", PASSWORD = "pw" }
        assert.same({ url = variables.URL, password = "pw" }, env.config(prefix(variables)))
        variables.URL = "postgres://u:own@far/app"
        assert.same({ url = variables.URL }, env.config(prefix(variables)))
        assert.same({ driver = "sqlite", database = ":memory:" },
            env.config(prefix(variables), { driver = "sqlite", database = ":memory:" }))
        assert.same({ url = "sqlite:a.db" }, env.config(prefix(variables), { url = "sqlite:a.db" }))
    end)

    it("a port or size that is no number is a config error naming the variable", function()
        for key, value in pairs { PORT = "many", POOL_MIN = "-1", POOL_MAX = "0" } do
            local name = prefix { [key] = value }
            local ok, err = pcall(env.config, name)
            assert.is_false(ok)
            assert.is_true(errors.is_error(err, "config"))
            assert.truthy(err.message:find(name .. "_" .. key, 1, true))
        end
        assert.is_nil(env.config(prefix { PORT = "" }).port)
        assert.is_false(pcall(env.config, "X", 7))
        assert.is_false(pcall(env.config, 7))
    end)
end)
