--- A relay in front of the test server: counts round trips, breaks connections, makes statements fail.
--
--     local relay = require "spec.support.relay"
--     local r = relay.start()
--     orm.init(db:config { host = r.host, port = r.port, entities = { User } })
--     ...
--     r:reset()
--     em:flush()
--     assert.is_true(r:turns() <= 3)      -- a turn: the client sends after it has received
--     r:fault(2, "swallow")               -- the second statement from now on works, but its answer is lost
--     r:stop()
--
-- Kinds of fault: "before" (the statement never arrives; the connection closes), "after" (it arrives; the
-- connection closes at once), "swallow" (it arrives and is done; the connection closes without an answer),
-- "error" (the server answers with an error in its place). A fault strikes once, at the k-th Execute or Query
-- message of whichever connection; BEGIN, SAVEPOINT and COMMIT are statements too. How it works: relay.c.

local relay = {}

local Relay = {}
Relay.__index = Relay

local program = "build/support/relay"

local function quote(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- Starts a relay to the test server of with_postgres.sh, or to that of another socket.
function relay.start(target)
    target = target
        or ("%s/.s.PGSQL.%s"):format(os.getenv "HEDDLE_TEST_PG_SOCKET", os.getenv "HEDDLE_TEST_PG_PORT")
    relay.count = (relay.count or 0) + 1
    local host = ("%s/relay-%d"):format(os.getenv "HEDDLE_TEST_TMP", relay.count)
    assert(os.execute("mkdir " .. quote(host)))
    local process = assert(io.popen(("exec %s serve %s %s"):format(program, quote(host), quote(target))))
    if process:read "*l" ~= "ready" then error("the relay did not start", 2) end
    return setmetatable({ host = host, socket_dir = host, port = 5432, process = process }, Relay)
end

--- Has the server end every connection to a database but the raw one that asks, and waits until relays have passed
--- it on.
function relay.kill_others(raw)
    local others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    raw:rows("select pg_terminate_backend(pid) " .. others)
    while raw:value("select count(*) " .. others) ~= "0" do raw:rows "select pg_sleep(0.001)" end
    raw:rows "select pg_sleep(0.02)"
end

function Relay:ask(command)
    local pipe = assert(io.popen(("%s ask %s %s"):format(program, quote(self.host), quote(command))))
    local answer = pipe:read "*l"
    pipe:close()
    if not answer or answer:find "^error" then
        error(("relay: '%s' was answered by %s"):format(command, tostring(answer)), 3)
    end
    return tonumber(answer) or answer
end

--- Counters to zero, faults disarmed, connections welcome, latency back to 10 ms.
function Relay:reset() self:ask "reset" end

--- Round trips since `reset`, of all connections together. Opening a connection takes some too.
function Relay:turns() return self:ask "turns" end

--- Statements (Execute and Query messages) since `reset`.
function Relay:statements() return self:ask "statements" end

--- Connections that were opened since `reset`.
function Relay:connections() return self:ask "connections" end

--- How long the server's answers are held back, in milliseconds.
function Relay:latency(milliseconds) self:ask(("latency %d"):format(milliseconds)) end

--- How long requests to cancel are held back, in milliseconds.
function Relay:cancels(milliseconds) self:ask(("cancels %d"):format(milliseconds)) end

--- Has it listen on 127.0.0.1 too; gives the port.
function Relay:tcp() return self:ask "tcp" end

--- Arms a fault at the k-th statement from now on; see above for the kinds.
function Relay:fault(k, kind) self:ask(("fault %d %s"):format(k, kind)) end

--- Closes the connection at the k-th statement: "before", "after" or "swallow".
function Relay:close_at(k, mode) self:fault(k, mode or "before") end

--- Disarms a fault that has not struck.
function Relay:disarm() self:ask "fault 0 none" end

--- Refuses new connections, or takes them again.
function Relay:refuse(on) self:ask(on and "refuse on" or "refuse off") end

--- Closes all connections.
function Relay:drop() self:ask "drop" end

function Relay:stop()
    if not self.process then return end
    self:ask "stop"
    self.process:close()
    self.process = nil
end

return relay
