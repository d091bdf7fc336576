-- U1, U2, I3, F1 by chance, over embedded values of every storage: random changes in place, replacements, aliases,
-- other
-- writers, failed flushes and rollbacks. After every step memory is what a simple model says, after every flush the
-- database too. HEDDLE_SEED runs one seed, HEDDLE_RUNS more of them.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Geo = orm.embeddable { name = "Geo", { "lat", type = "decimal", precision = 9, scale = 2, nullable = true },
    { "lon", type = "integer", nullable = true } }
local Address = orm.embeddable { name = "Address",
    { "city", type = "string" },
    { "at", type = "timestamp", nullable = true },
    { "tags", type = "json", nullable = true },
    { "geo", embedded = Geo, nullable = true },
    { "box", embedded = Geo, object = true, nullable = true },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", check = "name <> 'bad'" },
    { "home", embedded = Address },
    { "work", embedded = Address, nullable = true },
    { "doc", embedded = Address, nullable = true, object = true },
    { "list", embedded = Address, nullable = true, array = true },
}
local PLACES = { "home", "work", "doc", "list" }

local function deep(value)
    if type(value) ~= "table" then return value end
    local made = {}
    for key, item in pairs(value) do made[key] = deep(item) end
    return made
end

-- A value as the program gives it, and as it reads afterwards.
local function pick_geo(random)
    local lat, lon = random(4), random(3)
    local given, known = {}, {}
    if lat < 4 then given.lat, known.lat = random(2) == 1 and lat or lat .. ".0", lat .. ".00" end
    if lon < 3 then given.lon, known.lon = lon, lon end
    if next(known) == nil then known = nil end
    return given, known
end

local function pick_address(random)
    local city = ("c%d"):format(random(3))
    local given, known = { city = city }, { city = city }
    if random(2) == 1 then given.at, known.at = "1970-01-01T00:00:0" .. random(3) .. "Z", nil end
    if given.at then known.at = tonumber(given.at:match "(%d)Z$") end
    if random(2) == 1 then given.tags, known.tags = { "t", { n = random(2) } }, nil end
    known.tags = deep(given.tags)
    if random(2) == 1 then given.geo, known.geo = pick_geo(random) end
    if random(3) == 1 then
        given.box, known.box = pick_geo(random)
        known.box = known.box or {}
    end
    return given, known
end

-- In a document a value without members is one all the same.
local function in_document(known, given)
    if given.geo then known.geo = known.geo or {} end
    return known
end

local function pick(random, place)
    if place == "list" then
        local given, known = {}, {}
        for i = 1, random(3) - 1 do
            given[i], known[i] = pick_address(random)
            in_document(known[i], given[i])
        end
        return given, known
    end
    local given, known = pick_address(random)
    if place == "doc" then in_document(known, given) end
    return given, known
end

local operations = {}

function operations.make(self)
    local item = { name = "n" }
    local data = { name = "n" }
    for _, place in ipairs(PLACES) do
        if place == "home" or self.random(2) == 1 then data[place], item[place] = pick(self.random, place) end
    end
    item.e = self.em:create(User, data)
    self.em:persist(item.e)
    self.items[#self.items + 1] = item
end

local function any(self) return self.items[self.random(#self.items)] end

function operations.replace(self)
    local item, place = any(self), PLACES[self.random(4)]
    local given, known = pick(self.random, place)
    if place ~= "list" and self.random(3) == 1 then given = Address(given) end
    item.e[place], item[place] = given, known
end

function operations.drop(self)
    local item, place = any(self), PLACES[self.random(3) + 1]
    item.e[place], item[place] = nil, nil
end

function operations.member(self)
    local item, place = any(self), PLACES[self.random(4)]
    local value, known = item.e[place], item[place]
    if place == "list" and value then value, known = value[1], known[1] end
    if not value then return end
    local given, fresh = pick_address(self.random)
    local name = ({ "city", "at", "tags", "geo", "box" })[self.random(5)]
    if place == "doc" or place == "list" then in_document(fresh, given) end
    value[name], known[name] = given[name], fresh[name]
end

function operations.deeper(self)
    local item, place = any(self), PLACES[self.random(3)]
    local value, known = item.e[place], item[place]
    if not value then return end
    if value.geo and known.geo then
        value.geo.lon, known.geo.lon = 9, 9
    elseif value.tags then
        value.tags[3], known.tags[3] = "new", "new"
    end
end

local function is_same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then return a == b end
    for key, value in next, a do
        if not is_same(value, rawget(b, key)) then return false end
    end
    for key in next, b do
        if rawget(a, key) == nil then return false end
    end
    return true
end

-- assert.same words the difference; to find none it is too slow.
local function compare(self, i, what, place, expected, found)
    if not is_same(expected, found) then
        self.assert.same({ self.seed, i, what, place, expected }, { self.seed, i, what, place, found })
    end
end

local function check(self, what)
    for i, item in ipairs(self.items) do
        for _, place in ipairs(PLACES) do compare(self, i, what, place, item[place], item.e[place]) end
    end
end

-- A value that has nothing in it is none once it is written.
local function settle_model(item)
    for _, place in ipairs { "home", "work" } do
        local known = item[place]
        if known and known.geo and next(known.geo) == nil then known.geo = nil end
    end
end

local function check_database(self)
    check(self, "memory")
    local fork = self.em:fork()
    for i, item in ipairs(self.items) do
        local row = fork:find_one(User, item.e.id)
        for _, place in ipairs(PLACES) do compare(self, i, "database", place, item[place], row[place]) end
    end
    self.work:forget()
    self.em:flush()
    self.assert.same({}, self.work:work_statements())
end

function operations.flush(self)
    self.em:flush()
    for _, item in ipairs(self.items) do settle_model(item) end
    check_database(self)
end

function operations.fail(self)
    local item = any(self)
    item.e.name = "bad"
    self.assert.is_false(pcall(self.em.flush, self.em))
    item.e.name = item.name
    operations.flush(self)
end

function operations.alias(self)
    local from, to, place = any(self), any(self), PLACES[self.random(4)]
    if place ~= "home" or from.home then to.e[place], to[place] = from.e[place], deep(from[place]) end
    operations.flush(self)
end

function operations.other_writer(self)
    operations.flush(self)
    local item, place = any(self), PLACES[self.random(4)]
    local given, known = pick(self.random, place)
    local held = item.e[place]
    local fork = self.em:fork()
    local row = fork:find_one(User, item.e.id)
    row[place] = given
    fork:flush()
    item[place] = known
    settle_model(item)
    self.em:find(User, { id = item.e.id })
    if held and item[place] then self.assert.equal(held, item.e[place]) end
    check_database(self)
end

function operations.rolled_back(self)
    local saved = {}
    self.em:flush()
    for i, item in ipairs(self.items) do
        settle_model(item)
        saved[i] = {}
        for _, place in ipairs(PLACES) do saved[i][place] = { deep(item[place]), item.e[place] } end
    end
    local steps = { "replace", "drop", "member", "deeper", "flush", "fail" }
    self.assert.is_false(pcall(self.em.transactional, self.em, function()
        for _ = 1, self.random(5) do operations[steps[self.random(#steps)]](self) end
        error "undo"
    end))
    for i, item in ipairs(self.items) do
        for _, place in ipairs(PLACES) do item[place] = saved[i][place][1] end
    end
    check_database(self)
end

local steps = {
    "make", "replace", "replace", "drop", "member", "member", "member", "deeper", "deeper", "flush", "fail", "alias",
    "other_writer", "rolled_back",
}

databases.each(function(db)
    local first, last = chance.range(12)

    it("U1, U2, I3, F1: embedded values are what a model says, whatever is done to them", function()
        local work = unit.open(db, { User })
        for seed = first, last do
            local self = { em = work.em:fork(), work = work, random = chance.generator(seed), items = {}, seed = seed,
                assert = assert }
            operations.make(self)
            for _ = 1, 40 do operations[steps[self.random(#steps)]](self) end
            operations.flush(self)
        end
        work:close()
        db:close()
    end)
end)
