--- The parameterised suite: what touches a database runs on every driver.
--
--     local databases = require "spec.support.databases"
--
--     databases.each(function(db)                       -- once in describe "[sqlite]", once in "[postgres]"
--         it("U3: int64 limits survive a round trip", function()
--             local instance = orm.init(db:config { entities = { Number } })   -- a fresh empty database
--             ...
--             assert.same({ { "9223372036854775807" } }, db:raw():rows "select n from numbers")
--         end)
--     end)
--
-- `db.name` is the driver's name. Every `db:config(overrides)` makes a new database (several contexts have
-- several); `db:raw(config)` is a raw connection (raw.lua) to one, by default to the newest, the same each
-- time. `db:close()` removes them all and may be called whenever the contexts are closed (in after_each, say);
-- it runs by itself at the end of the block. HEDDLE_DRIVERS=sqlite (or postgres) runs one driver.

local databases = {}

local function copy_into(target, source)
    for key, value in pairs(source or {}) do target[key] = value end
    return target
end

local Database = {}
Database.__index = Database

function Database:config(overrides)
    local made = self.driver.create()
    self.made[#self.made + 1] = { config = made }
    return copy_into(copy_into({}, made), overrides)
end

local function find_made(self, config)
    for i = #self.made, 1, -1 do
        if not config or self.made[i].config.database == config.database then return self.made[i] end
    end
    error("databases: no database was made by db:config() yet, or not this one", 3)
end

function Database:raw(config)
    local made = find_made(self, config)
    made.raw = made.raw or self.driver.raw(made.config)
    return made.raw
end

function Database:close()
    for i = #self.made, 1, -1 do
        local made = table.remove(self.made, i)
        if made.raw then made.raw:close() end
        self.driver.destroy(made.config)
    end
end

--- A database helper outside of `each`, for specs of one driver: close it yourself.
function databases.open(name)
    local driver = require("spec.support." .. name)
    return setmetatable({ name = name, driver = driver, made = {} }, Database)
end

--- Names of the drivers that this run covers.
function databases.names()
    local names = {}
    for name in (os.getenv "HEDDLE_DRIVERS" or "sqlite,postgres"):gmatch "%a+" do names[#names + 1] = name end
    return names
end

--- Runs `block(db)` in a describe block for every driver that this run covers.
function databases.each(block)
    for _, name in ipairs(databases.names()) do databases.on(name, block) end
end

--- The same for one driver; nothing when this run does not cover it.
function databases.on(name, block)
    local covered = false
    for _, each in ipairs(databases.names()) do covered = covered or each == name end
    if not covered then return end
    local busted = require "busted" -- a required module has none of a spec file's globals
    busted.describe("[" .. name .. "]", function()
        local db = databases.open(name)
        block(db)
        busted.teardown(function() db:close() end)
    end)
end

return databases
