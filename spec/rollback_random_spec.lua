-- F1, F3 by chance: random work in nested transactions, with flushes that fail for all kinds of reasons. After every
-- step memory and database are what a simple model says. HEDDLE_SEED runs one seed, HEDDLE_RUNS more of them.

local chance = require "spec.support.chance"
local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string", check = "name <> 'bad'" },
    { "age", type = "integer", nullable = true },
    { "data", type = "json", nullable = true },
    { "secret", type = "string", nullable = true, hidden = true },
    { "rank", type = "integer", default_sql = "7" },
    { "version", type = "integer", version = true },
    { "team", many_to_one = "Team", nullable = true },
}

-- Items of the model are what a program sees of one instance; `mark` is "new", "managed", "removed" or nil.
local function copy(values)
    local made = {}
    for key, value in pairs(values) do made[key] = value end
    return made
end

local function save(self)
    local saved = { items = {}, rows = {} }
    for i, item in ipairs(self.items) do saved.items[i] = copy(item) end
    for item, row in pairs(self.rows) do saved.rows[item] = copy(row) end
    return saved
end

-- Values, states and rows of then; what was not there yet is new and nobody's.
local function restore(self, saved)
    for i, item in ipairs(self.items) do
        local then_ = saved.items[i]
        if then_ and then_.mark then
            for key in pairs(item) do item[key] = nil end
            for key, value in pairs(then_) do item[key] = value end
        else
            item.mark, item.id, item.rank, item.version = nil, nil, nil, nil
            if then_ then item.id, item.rank, item.version = then_.id, then_.rank, then_.version end
        end
    end
    self.rows = saved.rows
end

local names = { "Ann", "Bob", "Cid", "Dot" }

local function written(item)
    return { name = item.name, age = item.age, data = item.data, secret = item.secret, team = item.team }
end

local function differs(item, row)
    for key, value in pairs(written(item)) do
        if row[key] ~= value then return true end
    end
    for key in pairs(row) do
        if item[key] ~= row[key] and key ~= "version" then return true end
    end
    return false
end

local operations = {}

function operations.make(self)
    local item = { name = names[self.random(4)], age = self.random(9), mark = "new" }
    item.e = User { name = item.name, age = item.age }
    item.number = #self.items + 1
    self.items[item.number] = item
    self.em:persist(item.e)
end

-- Was it managed when each of the open transactions began?
local function is_kept(self, item)
    for _, saved in ipairs(self.saved) do
        local was = saved.items[item.number]
        if not was or not was.mark then return false end
    end
    return true
end

local function pick(self, ...)
    local found = {}
    for _, item in ipairs(self.items) do
        for _, mark in ipairs { ... } do
            if item.mark == mark then found[#found + 1] = item end
        end
    end
    return found[1] and found[self.random(#found)]
end

function operations.change(self)
    local item = pick(self, "new", "managed")
    if not item then return end
    local what = self.random(6)
    if what == 1 then
        item.name = names[self.random(4)]
        item.e.name = item.name
    elseif what == 2 then
        item.age = self.random(3) > 1 and self.random(9) or nil
        item.e.age = item.age
    elseif what == 3 then
        item.data = self.random(9)
        item.e.data = { n = item.data }
    elseif what == 4 then
        item.data = item.data and item.data + 1
        if item.data then item.e.data.n = item.data end
    elseif what == 5 then
        item.secret = self.random(2) == 1 and "s" .. self.random(9) or nil
        item.e.secret = item.secret
    else
        item.team = self.random(3) > 1 and self.teams[self.random(#self.teams)] or nil
        item.e.team = item.team
    end
end

function operations.remove(self)
    local item = pick(self, "new", "managed")
    if not item then return end
    self.em:remove(item.e)
    item.mark = item.mark == "managed" and "removed" or nil
end

function operations.keep(self)
    local item = pick(self, "removed")
    if not item then return end
    self.em:persist(item.e)
    item.mark = "managed"
end

function operations.adopt(self)
    for _, item in ipairs(self.items) do
        if not item.mark and not item.id and self.random(3) == 1 then
            self.em:persist(item.e)
            item.mark = "new"
        end
    end
end

local function flush_model(self)
    for _, item in ipairs(self.items) do
        local row = self.rows[item]
        if item.mark == "new" then
            item.mark, item.rank, item.version, item.id = "managed", 7, 1, item.e.id
            self.rows[item] = written(item)
        elseif item.mark == "removed" then
            self.rows[item], item.mark = nil, nil
        elseif item.mark == "managed" and differs(item, row) then
            item.version = item.version + 1
            self.rows[item] = written(item)
        end
    end
end

local function has_work(self)
    for _, item in ipairs(self.items) do
        if item.mark == "new" or item.mark == "removed" then return true end
        if item.mark == "managed" and differs(item, self.rows[item]) then return true end
    end
end

local function may_fail(self, fn)
    local kind = has_work(self) and self.random(6) or 6
    local victim = kind == 1 and pick(self, "new", "managed")
    local former = victim and victim.e.name
    if victim then victim.e.name = "bad" end
    self.fail = kind == 2 and "before" or kind == 3 and "after" or kind == 4 and "after_flush"
    local ok, err = pcall(fn)
    self.fail, self.failures = nil, self.failures + (ok and 0 or 1)
    if victim then victim.e.name = former end
    if not ok and not (victim and orm.is_error(err, "check_violation")) and err ~= "chosen" then error(err, 0) end
    return ok
end

function operations.flush(self)
    if may_fail(self, function() self.em:flush() end) then flush_model(self) end
end

function operations.begin(self)
    if #self.saved == 3 then return end
    self.em:begin()
    self.saved[#self.saved + 1] = save(self)
end

function operations.commit(self)
    if #self.saved == 0 then return end
    if may_fail(self, function() self.em:commit() end) then
        flush_model(self)
        table.remove(self.saved)
    end
end

function operations.rollback(self)
    if #self.saved == 0 then return end
    self.em:rollback()
    restore(self, table.remove(self.saved))
end

function operations.detach(self)
    local item = pick(self, "managed")
    if not item then return end
    self.em:detach(item.e)
    item.mark = nil
end

-- Somebody writes past the unit of work, and the rows are read again.
function operations.read(self)
    local item = pick(self, "managed")
    if not item or not is_kept(self, item) or has_work(self) then return end
    local age = self.random(9) + 100
    self.em:execute("update users set age = ? where id = ?", age, item.id)
    if self.random(2) == 1 then self.em:find(User, {}) else self.em:refresh(item.e) end
    item.age, self.rows[item].age = age, age
    for other in pairs(self.rows) do
        -- A row whose entity was detached is a stranger's now; the find has made one of it.
        if not other.mark and other ~= item then self.em:detach(self.em:find_one(User, other.id)) end
    end
end

local choice = { "make", "make", "change", "change", "change", "change", "remove", "keep", "adopt", "flush", "flush",
    "begin", "commit", "rollback", "detach", "read" }

local function check_memory(self)
    for i, item in ipairs(self.items) do
        local e = item.e
        local seen = { e.id, e.name, e.age, e.data and e.data.n, e.secret, e.rank, e.version, e.team and e.team.id }
        local right = { item.id, item.name, item.age, item.data, item.secret, item.rank, item.version,
            item.team and item.team.id }
        for k = 1, 8 do
            if seen[k] ~= right[k] then
                error(("item %d, value %d is %s, not %s"):format(i, k, tostring(seen[k]), tostring(right[k])), 0)
            end
        end
        if self.em:contains(e) ~= (item.mark == "new" or item.mark == "managed") then
            error(("item %d is %s"):format(i, item.mark or "nobody's"), 0)
        end
    end
end

local function check_rows(self)
    local count = 0
    for _, row in ipairs(self.em:execute "select id, name, age, secret, version, team_id from users") do
        local found
        for item in pairs(self.rows) do
            if item.id == row.id or item.e.id == row.id then found = item end
        end
        local right = found and self.rows[found]
        if not right or row.name ~= right.name or row.age ~= right.age or row.secret ~= right.secret
            or row.team_id ~= (right.team and right.team.id) then
            error("row " .. row.id .. " is not what it should be", 0)
        end
        count = count + 1
    end
    for _ in pairs(self.rows) do count = count - 1 end
    if count ~= 0 then error(count .. " rows too many", 0) end
end

local function run(work, seed, steps)
    work.raw:exec "delete from users"
    local self = { em = work:fork(), random = chance.generator(seed), items = {}, rows = {}, saved = {}, failures = 0 }
    self.teams = self.em:find_all(Team)
    work.model = self
    local trace = {}
    local function step(name)
        trace[#trace + 1] = name
        operations[name](self)
        check_memory(self)
        if name ~= "make" and name ~= "change" then check_rows(self) end
    end
    local ok, err = pcall(function()
        for _ = 1, steps do step(choice[self.random(#choice)]) end
        while #self.saved > 0 do step "rollback" end
        step "flush"
    end)
    if not ok then
        error(("seed %d, step %d (%s): %s"):format(seed, #trace, table.concat(trace, " "), tostring(err)), 0)
    end
    return self.failures
end

databases.each(function(db)
    it("F1: random work, failures and rollbacks leave memory and rows as a model says", function()
        local work = unit.open(db, { Team, User })
        work.model = {}
        for _, event in ipairs { "before_create", "before_update", "before_delete" } do
            work.instance:on(event, function() if work.model.fail == "before" then error("chosen", 0) end end)
        end
        for _, event in ipairs { "after_create", "after_update", "after_delete" } do
            work.instance:on(event, function() if work.model.fail == "after" then error("chosen", 0) end end)
        end
        work.instance:on("after_flush", function()
            if work.model.fail == "after_flush" then error("chosen", 0) end
        end)
        for i = 1, 3 do work.em:persist(Team { name = "t" .. i }) end
        work.em:flush()
        local first, last = chance.range(30)
        local failures = 0
        for seed = first, last do failures = failures + run(work, seed, 60) end
        assert.is_true(last == first or failures > last - first, failures .. " failures")
        work:close()
        db:close()
    end)
end)
