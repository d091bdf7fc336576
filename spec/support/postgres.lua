--- Throwaway databases on the server that with_postgres.sh started: see databases.lua.
--
-- Making a database costs PostgreSQL some 40 ms, emptying one a few, so that closed databases are emptied
-- and used again. The variables are described in with_postgres.sh.

local raw = require "spec.support.raw"

local postgres = { name = "postgres" }

local free = {} -- names of empty databases
local admin

local function env(name)
    local value = os.getenv("HEDDLE_TEST_PG" .. name)
    if not value then error("no PostgreSQL server: run specs by spec/support/with_postgres.sh (make test-lua)", 0) end
    return value
end

--- Conninfo of a database of the test server.
function postgres.conninfo(database)
    return ("host=%s port=%s user=%s dbname=%s"):format(env "_SOCKET", env "_PORT", env "_USER", database)
end

--- The raw connection that makes, empties and watches databases; stays open.
function postgres.admin()
    admin = admin or raw.postgres(env "")
    return admin
end

local function new_name()
    local db = postgres.admin()
    local name = "test_" .. db:value("select count(*) from pg_database")
    db:exec("create database " .. name)
    return name
end

--- Configuration of an empty database.
function postgres.create()
    local name = table.remove(free) or new_name()
    return {
        driver = "postgres",
        host = env "_SOCKET",
        port = tonumber(env "_PORT"),
        user = env "_USER",
        database = name,
    }
end

local function disconnect_others(name)
    local db = postgres.admin()
    local others = ("from pg_stat_activity where datname = '%s'"):format(name)
    db:rows("select pg_terminate_backend(pid) " .. others)
    while db:value("select count(*) " .. others) ~= "0" do
        db:rows("select pg_sleep(0.001)")
    end
end

--- Empties a database, ending its connections, and keeps it for the next `create`.
function postgres.destroy(config)
    disconnect_others(config.database)
    local db = raw.postgres(postgres.conninfo(config.database))
    db:exec("set client_min_messages = error")
    db:exec [[
        do $$
        declare name text;
        begin
            for name in select nspname from pg_namespace
                        where nspname !~ '^pg_' and nspname <> 'information_schema' loop
                execute format('drop schema %I cascade', name);
            end loop;
            for name in select extname from pg_extension where extname <> 'plpgsql' loop
                execute format('drop extension %I cascade', name);
            end loop;
            perform lo_unlink(oid) from pg_largeobject_metadata;
            execute 'create schema public';
        end $$]]
    db:close()
    free[#free + 1] = config.database
end

function postgres.raw(config)
    return raw.postgres(postgres.conninfo(config.database))
end

--- Ends every connection to a config's database, as a crash of its backends would: the sockets close.
function postgres.kill_backends(config)
    disconnect_others(config.database)
end

return postgres
