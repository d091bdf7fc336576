--- A PostgreSQL primary with standbys that stream from it, for specs of read replicas.
--
--     local cluster = require "spec.support.cluster"
--     local servers = cluster.start(2)                  -- with two standbys; stop it in teardown
--     local instance = orm.init(servers:config { entities = { User } })   -- a fresh empty database, there on all
--     servers:catch_up()                                -- waits until every standby has replayed what is written
--     local standby = servers.standbys[1]
--     standby:pause()  standby:resume()                 -- replaying
--     standby:stop "immediate"  standby:start()         -- a crash, and back again
--     standby:promote()
--     standby:raw():rows "select 1"                     -- a raw connection to the newest database there
--     servers:stop()
--
-- Servers have no other way in than sockets in a temporary directory. They end with this process, whatever ends it.

local raw = require "spec.support.raw"
local socket = require "socket"

local cluster = {}

local script = "spec/support/cluster.sh"

local function command(...)
    local words = { "bash", script }
    for _, word in ipairs { ... } do words[#words + 1] = "'" .. word .. "'" end
    return table.concat(words, " ")
end

-- Answers of os.execute differ between interpreters.
local function run(...)
    local ok = os.execute(command(...))
    if ok ~= true and ok ~= 0 then error("cluster: failed: " .. command(...), 2) end
end

-- Server -----------------------------------------------------------------------------------------------------

local Server = {}
Server.__index = Server

--- Its socket.
function Server:socket() return ("%s/.s.PGSQL.%d"):format(self.cluster.directory, self.port) end

function Server:conninfo(database)
    return ("host=%s port=%d user=heddle dbname=%s"):format(self.cluster.directory, self.port, database)
end

--- A raw connection to the newest database, or to another one; the same each time, until the server stops.
function Server:raw(database)
    database = database or self.cluster.database
    self.raws[database] = self.raws[database] or raw.postgres(self:conninfo(database))
    return self.raws[database]
end

function Server:forget()
    for _, connection in pairs(self.raws) do connection:close() end
    self.raws = {}
end

--- Stops the server: "fast" ends its connections and says so, "immediate" is a crash.
function Server:stop(mode)
    self:forget()
    run("stop", self.cluster.directory, self.name, mode or "fast")
end

--- Starts it and waits until it takes connections.
function Server:start() run("start", self.cluster.directory, self.name) end

--- Makes a standby a primary of its own.
function Server:promote() run("promote", self.cluster.directory, self.name) end

--- A standby goes on receiving, and shows nothing of it.
function Server:pause()
    self:raw "postgres":rows "select pg_wal_replay_pause()"
    self:wait_for "select pg_get_wal_replay_pause_state() = 'paused'"
end

function Server:resume() self:raw "postgres":rows "select pg_wal_replay_resume()" end

--- Ends every connection to the newest database there.
function Server:disconnect()
    self:raw "postgres":rows(("select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s'"):format(
        self.cluster.database))
end

--- Waits until a condition is true there.
function Server:wait_for(condition)
    local limit = socket.gettime() + 10
    while self:raw "postgres":value(condition) ~= "t" do
        if socket.gettime() > limit then error(self.name .. ": never true: " .. condition, 2) end
        socket.sleep(0.005)
    end
end

--- Waits until it has replayed what the primary has written by now.
function Server:catch_up()
    local primary = self.cluster.primary:raw "postgres"
    local place = primary:value "select pg_current_wal_insert_lsn()"
    -- The place may be behind the header of a page to which nothing is written yet.
    primary:rows "select pg_logical_emit_message(true, '', '')"
    self:wait_for(("select pg_last_wal_replay_lsn() >= '%s'"):format(place))
end

-- Cluster ----------------------------------------------------------------------------------------------------

local Cluster = {}
Cluster.__index = Cluster

--- A primary and so many standbys.
function cluster.start(count)
    local pipe = assert(io.popen(command "create"))
    local directory = pipe:read "*l"
    pipe:close()
    if not directory then error("cluster: no primary; is PostgreSQL's server installed?", 2) end
    local self = setmetatable({ directory = directory, standbys = {}, databases = 0 }, Cluster)
    self.keeper = assert(io.popen(command("keep", directory), "w"))
    self.primary = setmetatable({ cluster = self, name = "primary", port = 5432, raws = {} }, Server)
    for number = 1, count or 1 do
        local name = "standby" .. number
        run("standby", directory, name)
        self.standbys[number] = setmetatable({ cluster = self, name = name, port = 5432 + number, raws = {} }, Server)
    end
    return self
end

function Cluster:catch_up()
    for _, standby in ipairs(self.standbys) do standby:catch_up() end
end

--- Configuration of a fresh empty database, with every standby as a replica.
function Cluster:config(overrides)
    self.databases = self.databases + 1
    self.database = "test_" .. self.databases
    self.primary:raw "postgres":exec("create database " .. self.database)
    self:catch_up()
    local config = { driver = "postgres", host = self.directory, port = 5432, user = "heddle", database = self.database,
        replicas = {} }
    for number, standby in ipairs(self.standbys) do config.replicas[number] = { port = standby.port } end
    for key, value in pairs(overrides or {}) do config[key] = value end
    return config
end

--- Stops the servers and removes what they had.
function Cluster:stop()
    self.primary:forget()
    for _, standby in ipairs(self.standbys) do standby:forget() end
    self.keeper:close()
end

return cluster
