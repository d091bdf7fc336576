--- Throwaway SQLite databases: see databases.lua.

local raw = require "spec.support.raw"

local sqlite = { name = "sqlite" }

local directory

-- One directory for each run, removed by run_lua.sh.
local function new_path()
    directory = directory or os.getenv("HEDDLE_TEST_TMP")
    if not directory then error("specs are run by spec/support/run_lua.sh (make test-lua)", 0) end
    sqlite.count = (sqlite.count or 0) + 1
    local id = tostring({}):match("0x(%x+)") or "0"
    return ("%s/%d-%s.db"):format(directory, sqlite.count, id)
end

--- Configuration of a new empty database.
function sqlite.create()
    return { driver = "sqlite", database = new_path() }
end

function sqlite.destroy(config)
    for _, suffix in ipairs { "", "-wal", "-shm", "-journal" } do
        os.remove(config.database .. suffix)
    end
end

function sqlite.raw(config)
    return raw.sqlite(config.database)
end

return sqlite
