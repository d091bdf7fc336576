-- A file system of 1 MiB that fills up under a SQLite database: mounted where that is allowed (as root).

local orm = require "heddle"
local unit = require "spec.support.unit"

local Log = orm.entity {
    name = "DiskLog", table = "disk_logs",
    { "id", type = "integer", primary = true },
    { "text", type = "text" },
}

local function is_done(command)
    local ok = os.execute(command .. " >/dev/null 2>&1")
    return ok == true or ok == 0
end

local function quoted(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

describe("[sqlite] a full disk", function()
    local directory, mounted, instance, other

    before_each(function()
        directory = os.getenv "HEDDLE_TEST_TMP" .. "/full"
        is_done("mkdir -p " .. quoted(directory))
        mounted = is_done("mount -t tmpfs -o size=1m heddle " .. quoted(directory))
    end)

    after_each(function()
        if instance then instance:close() end
        if other then other:close() end
        instance, other = nil, nil
        if mounted then assert.is_true(is_done("umount " .. quoted(directory))) end
    end)

    it("C5, F1: is a driver error, what was written before stays, and the other context goes on", function()
        if not mounted then return pending "mounting is not allowed here" end
        instance = orm.init { context_name = "full", driver = "sqlite", database = directory .. "/app.db",
            entities = { Log } }
        other = orm.init { context_name = "roomy", driver = "sqlite", database = ":memory:", entities = { Log } }
        instance.schema:create()
        other.schema:create()
        local em, roomy = orm.em "full", orm.em "roomy"
        em:persist_and_flush(em:create(Log, { text = "first" }))

        local text = ("x"):rep(10000)
        local kept
        for i = 1, 300 do
            kept = em:create(Log, { text = text .. i })
            em:persist(kept)
            local ok, err = pcall(em.flush, em)
            if not ok then
                assert.is_true(orm.is_error(err, "driver"), tostring(err))
                assert.equal("full", err.context)
                assert.is_nil(kept.id)
                break
            end
            kept = nil
        end
        assert.is_table(kept)

        -- The other context knows nothing of it, this one can be read, and what is pending is written when it fits.
        roomy:persist_and_flush(roomy:create(Log, { text = text }))
        assert.equal(1, roomy:count(Log, {}))
        local fork = em:fork()
        local there = fork:count(Log, {})
        assert.is_true(there >= 1)
        assert.equal("first", fork:find_one(Log, 1).text)
        kept.text = "short"
        assert.is_true(is_done("mount -o remount,size=4m " .. quoted(directory)))
        em:flush()
        assert.equal(there + 1, fork:count(Log, {}))
        assert.equal("short", em:fork():find_one(Log, kept.id).text)
        unit.raises("validation", em.create, em, Log, { id = kept.id, text = "again" })
    end)
end)
