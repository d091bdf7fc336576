-- I1, U1, F1 by chance, where entities share a table: random work on few keys, removed as one entity and made anew as
-- another one, read by any entity, in transactions that are rolled back, with flushes that fail. After every step
-- memory and database are what a simple model says. HEDDLE_SEED runs one seed, HEDDLE_RUNS more of them.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local staff = require "spec.support.staff"

local KEYS, STEPS = 6, 60

local function copy(values)
    local made = {}
    for key, value in pairs(values) do made[key] = value end
    return made
end

-- What each entity has, with values by number; `needs` is never empty.
local properties = {
    name = { needs = true, value = function(n) return "n" .. n end },
    salary = { needs = true, value = function(n) return n end },
    badge = { value = function(n, key) return "b" .. key .. "." .. n end },
    notes = { value = function(n) return "text " .. n end },
    bonus = { needs = true, value = function(n) return n .. ".50" end },
    level = { needs = true, value = function(n) return n % 2 == 0 and "low" or "high" end },
    secret = { value = function(n) return "s" .. n end },
    tags = { value = function(n) return { n = n } end, number = function(tags) return tags.n end },
}
local names_of = {
    Person = { "name" }, Employee = { "name", "salary", "badge", "notes" },
    Manager = { "name", "salary", "badge", "notes", "bonus" }, Customer = { "name", "level", "secret", "tags" },
}
local classes = { "Person", "Employee", "Manager", "Customer" }
local kinds = { Person = "person", Employee = "employee", Manager = "boss", Customer = "customer" }
local extends = { Employee = "Person", Manager = "Employee", Customer = "Person" }

local function is_a(class, of)
    while class do
        if class == of then return true end
        class = extends[class]
    end
    return false
end

local Run = {}
Run.__index = Run

local function saved_items(self)
    local made = {}
    for item in pairs(self.items) do made[item] = copy(item) end
    return made
end

function Run:item_of(key)
    for item in pairs(self.items) do
        if item.key == key and item.mark ~= "removed" then return item end
    end
end

function Run:any(mark)
    local found = {}
    for item in pairs(self.items) do
        if item.mark == mark then found[#found + 1] = item end
    end
    table.sort(found, function(a, b) return a.number < b.number end)
    return found[1] and found[self.random(#found)]
end

local function put(self, item, name)
    local rule = properties[name]
    local value = nil
    if rule.needs or self.random(4) > 1 then value = rule.value(self.random(9), item.key) end
    item.e[name] = value
    item.values[name] = value
end

local steps = {}

function steps.make(self)
    local key = self.random(KEYS)
    if self:item_of(key) or self.rows[key] and not self.known[key] then return end
    local class = classes[self.random(4)]
    local item = { key = key, class = class, values = {}, mark = "new", number = self.count }
    self.count = self.count + 1
    item.e = self.em:create(self.made[class], { id = key })
    for _, name in ipairs(names_of[class]) do put(self, item, name) end
    self.em:persist(item.e)
    self.items[item] = true
end

function steps.change(self)
    local item = self:any(self.random(2) == 1 and "new" or "managed")
    if not item then return end
    local names = names_of[item.class]
    put(self, item, names[self.random(#names)])
end

function steps.remove(self)
    local item = self:any(self.random(4) == 1 and "new" or "managed")
    if not item then return end
    self.em:remove(item.e)
    if item.mark == "new" then self.items[item] = nil else item.mark = "removed" end
end

local function take(self, e)
    local key = e.id
    local item = self:item_of(key)
    if item then
        assert(item.e == e, "two instances of one row")
        return
    end
    local row = assert(self.rows[key], "a row that is not there")
    item = { key = key, class = row.class, values = copy(row.values), mark = "managed", number = self.count, e = e }
    self.count = self.count + 1
    self.items[item], self.known[key] = true, true
end

-- Reads flush what is pending; then every row of the entity is there, as what it is.
function steps.read(self)
    steps.flush(self)
    local asked = classes[self.random(4)]
    local found = {}
    local options = { populate = asked == "Employee" and { "notes" } or nil, flush_mode = "commit" }
    for _, e in ipairs(self.em:find(self.made[asked], {}, options)) do
        take(self, e)
        found[e.id] = true
    end
    for key, row in pairs(self.rows) do
        assert((found[key] or false) == is_a(row.class, asked), asked .. " " .. key .. " is a " .. row.class)
    end
end

function steps.one(self)
    local key, asked = self.random(KEYS), classes[self.random(4)]
    local item, row = self:item_of(key), self.rows[key]
    local expected = item and item.class
    -- A row that is marked for removal is gone.
    if not item and row and not self.known[key] then expected = row.class end
    local e = self.em:find_one(self.made[asked], key)
    assert((e ~= nil) == (expected ~= nil and is_a(expected, asked)), "find_one of " .. asked .. " " .. key)
    if e then take(self, e) end
end

function steps.reference(self)
    local key = self.random(KEYS)
    if not self.rows[key] or self.known[key] then return end
    local e = self.em:get_reference(self.made.Person, key)
    assert(e.id == key)
    if self.random(2) == 1 then
        self.em:load(e)
        take(self, e)
    end
end

function steps.clear(self)
    if self.saved then return end
    self.em:clear()
    self.items, self.known = {}, {}
end

local function write_model(self)
    for item in pairs(self.items) do
        if item.mark == "removed" then
            self.items[item] = nil
            if self.rows[item.key].item == item or self.rows[item.key].class == item.class then
                self.rows[item.key], self.known[item.key] = nil, nil
            end
        end
    end
    for item in pairs(self.items) do
        item.mark = "managed"
        self.rows[item.key] = { class = item.class, values = copy(item.values) }
        self.known[item.key] = true
    end
end

function steps.flush(self)
    local victim = self.random(5) == 1 and self:any("managed")
    if victim then
        local former = victim.e.name
        victim.e.name = nil
        local ok, err = pcall(self.em.flush, self.em)
        assert(not ok and orm.is_error(err, "validation"), tostring(err))
        victim.e.name = former
    end
    self.em:flush()
    write_model(self)
    local before = #self.sent
    self.em:flush()
    assert(#self.sent == before, "a second flush writes")
end

function steps.begin(self)
    if self.saved then return end
    self.em:begin()
    self.saved = { rows = copy(self.rows), known = copy(self.known), items = saved_items(self) }
    for item, saved in pairs(self.saved.items) do saved.values = copy(item.values) end
end

function steps.finish(self)
    if not self.saved then return end
    if self.random(2) == 1 then
        self.em:commit()
        write_model(self)
    else
        self.em:rollback()
        self.rows, self.known, self.items = self.saved.rows, self.saved.known, {}
        for item, saved in pairs(self.saved.items) do
            for key in pairs(item) do item[key] = nil end
            for key, value in pairs(saved) do item[key] = value end
            self.items[item] = true
        end
    end
    self.saved = nil
end

-- Lazy text that nobody has read is what it is.
local function read(item, name)
    local ok, value = pcall(function() return item.e[name] end)
    if ok then return value end
    assert(name == "notes" and orm.is_error(value, "not_loaded"), tostring(value))
    return item.values[name]
end

local function check_memory(self)
    for item in pairs(self.items) do
        local meta = getmetatable(item.e)
        assert(meta.definition.name == item.class, "is a " .. meta.definition.name .. ", not a " .. item.class)
        assert(item.e.kind == kinds[item.class])
        for _, name in ipairs(item.mark == "removed" and {} or names_of[item.class]) do
            local now, wanted = read(item, name), item.values[name]
            local number = properties[name].number
            if number then now, wanted = now and number(now), wanted and number(wanted) end
            assert(now == wanted, ("%s %d.%s is %s, not %s"):format(item.class, item.key, name, tostring(now),
                tostring(wanted)))
        end
        for name in pairs(properties) do
            local own = false
            for _, each in ipairs(names_of[item.class]) do own = own or each == name end
            assert(own or rawget(item.e, name) == nil, "another entity's " .. name)
        end
    end
end

local SQL = [[select id, kind, name, coalesce(cast(salary as text), '-'), coalesce(badge, '-'), coalesce(notes, '-'),
    coalesce(cast(bonus as text), '-'), coalesce(level, '-'), coalesce(secret, '-'),
    case when tags is null then '-' else 'tags' end, case when credit is null then '-' else 'credit' end
    from people order by id]]

local columns = { "name", "salary", "badge", "notes", "bonus", "level", "secret" }

local function check_database(self)
    local wanted = {}
    for key = 1, KEYS do
        local row = self.rows[key]
        if row then
            local line = { tostring(key), kinds[row.class] }
            for _, name in ipairs(columns) do
                line[#line + 1] = row.values[name] == nil and "-" or tostring(row.values[name])
            end
            line[#line + 1] = row.values.tags and "tags" or "-"
            line[#line + 1] = row.class == "Customer" and "credit" or "-"
            wanted[#wanted + 1] = table.concat(line, " ")
        end
    end
    local there = {}
    for i, row in ipairs(self.raw:rows(SQL)) do there[i] = table.concat(row, " ") end
    local luassert = require "luassert"
    luassert.same(wanted, there)
end

local order = { "make", "make", "make", "change", "change", "change", "remove", "read", "one", "one", "reference",
    "clear", "flush", "flush", "begin", "finish" }

local function run(self, seed)
    self.random = chance.generator(seed)
    self.items, self.rows, self.known, self.count = {}, {}, {}, 1
    for number = 1, STEPS do
        local name = order[self.random(#order)]
        local ok, err = xpcall(function()
            steps[name](self)
            check_memory(self)
            if not self.saved then check_database(self) end
        end, function(e) return debug.traceback(tostring(e), 2) end)
        if not ok then error(("HEDDLE_SEED=%d, step %d (%s): %s"):format(seed, number, name, err), 0) end
    end
    if self.saved then self.em:rollback() end
    self.saved = nil
end

databases.each(function(db)
    describe("random work on a table that entities share", function()
        after_each(function()
            orm.close()
            db:close()
        end)

        it("I1, U1, F1: memory and database are what a simple model says", function()
            local made = staff.define()
            local instance = orm.init(db:config { entities = made.entities })
            instance.schema:create()
            local sent = {}
            instance:on("query", function(entry) sent[#sent + 1] = entry.sql end)
            local first, last = chance.range(40)
            for seed = first, last do
                local self = setmetatable({ made = made, em = orm.em():fork(), raw = db:raw(), sent = sent }, Run)
                run(self, seed)
                self.em:drop()
                orm.em():delete_where(made.Person, {}, { all = true })
            end
        end)
    end)
end)
