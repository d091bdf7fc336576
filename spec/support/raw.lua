--- Connections that Heddle knows nothing of, to read back what the database really holds.
--
--     local raw = require "spec.support.raw"
--     local db = raw.sqlite("app.db")              -- or raw.postgres("host=... dbname=...")
--     db:exec("insert into users values (1, 'Ann')")     --> 1 (rows touched)
--     db:rows("select id, name from users")              --> { { "1", "Ann" } }
--     db:value("select count(*) from users")             --> "1"
--     db:close()
--
-- Values are strings, whatever the column; NULL is `raw.null` (false), so that rows have no holes.

local raw = { null = false }

local Connection = {}
Connection.__index = Connection

-- LuaSQL gives SQLite's numbers as Lua numbers, where 5.1 has no 64-bit integers.
local function to_string(value)
    if value == nil then return raw.null end
    if type(value) ~= "number" then return tostring(value) end
    if math.type and math.type(value) == "integer" then return ("%d"):format(value) end
    if not math.type and value == math.floor(value) then
        if math.abs(value) >= 2 ^ 53 then
            error("raw: this Lua cannot show the integer exactly; select cast(... as text)", 0)
        end
        return ("%d"):format(value)
    end
    return ("%.17g"):format(value)
end

local function check(result, err)
    if result == nil or result == false then error("raw: " .. tostring(err), 3) end
    return result
end

--- Runs one statement that gives no rows; answers how many it touched.
function Connection:exec(sql)
    local result = check(self.conn:execute(sql))
    if type(result) ~= "number" then
        result:close()
        return 0
    end
    return result
end

--- Rows of a query, each a list of strings.
function Connection:rows(sql)
    local cursor = check(self.conn:execute(sql))
    if type(cursor) == "number" then return {} end
    local width, rows = #cursor:getcolnames(), {}
    local row = cursor:fetch({}, "n")
    while row do
        local list = {}
        for i = 1, width do list[i] = to_string(row[i]) end
        rows[#rows + 1] = list
        row = cursor:fetch({}, "n")
    end
    cursor:close()
    return rows
end

--- The first column of the first row; nil when there is no row.
function Connection:value(sql)
    local row = self:rows(sql)[1]
    return row and row[1]
end

function Connection:close()
    if self.conn then
        self.conn:close()
        self.env:close()
        self.conn = nil
    end
end

local function connect(env, source)
    local conn, err = env:connect(source)
    if not conn then
        env:close()
        error("raw: " .. tostring(err), 3)
    end
    return setmetatable({ env = env, conn = conn }, Connection)
end

function raw.sqlite(path)
    local db = connect(require("luasql.sqlite3").sqlite3(), path)
    db:rows("pragma busy_timeout = 5000")
    return db
end

function raw.postgres(conninfo)
    return connect(require("luasql.postgres").postgres(), conninfo)
end

return raw
