--- Random filters over a small graph of entities, each with what it means: a function of a row that gives true, false,
--- or nil where SQL says neither.
--
--     local random = chance.generator(seed)
--     local where, holds, text = random_filters.filter(random, graph, "User")
--     if holds(graph.rows.User[1]) == true then ... end
--
-- A graph is { rows = { Name = { row, ... } } }; a row has its scalars, to-one relations as rows, and to-many relations
-- as lists of rows. Nothing here asks Heddle: the meaning is written down once more, in three-valued logic.

local orm = require "heddle"

local op = orm.op

local random_filters = {}

-- Three-valued logic -------------------------------------------------------------------------------------------

local function negated(value)
    if value == nil then return nil end
    return not value
end

local function conjunction(list)
    local unknown = false
    for i = 1, list.n do
        if list[i] == false then return false end
        unknown = unknown or list[i] == nil
    end
    if unknown then return nil end
    return true
end

local function disjunction(list)
    local turned = { n = list.n }
    for i = 1, list.n do turned[i] = negated(list[i]) end
    return negated(conjunction(turned))
end

-- Every condition is { where, holds, text }.
local function combined(conditions, logic)
    return function(subject)
        local list = { n = #conditions }
        for i, condition in ipairs(conditions) do list[i] = condition.holds(subject) end
        return logic(list)
    end
end

local function texts(conditions)
    local list = {}
    for i, condition in ipairs(conditions) do list[i] = condition.text end
    return table.concat(list, ", ")
end

local function wheres(conditions)
    local list = {}
    for i, condition in ipairs(conditions) do list[i] = condition.where end
    return list
end

-- `make` gives a condition; all, any and negate over such.
local function composed(random, depth, make)
    local roll = random(8)
    if depth <= 0 or roll <= 5 then return make(depth) end
    if roll == 8 then
        local inner = composed(random, depth - 1, make)
        return { where = op.negate(inner.where), text = "negate(" .. inner.text .. ")",
            holds = function(subject) return negated(inner.holds(subject)) end }
    end
    local conditions = {}
    for i = 1, random(3) - (roll == 7 and 1 or 0) do conditions[i] = composed(random, depth - 1, make) end
    if roll == 6 then
        return { where = op.all(wheres(conditions)), text = "all { " .. texts(conditions) .. " }",
            holds = combined(conditions, conjunction) }
    end
    return { where = op.any(wheres(conditions)), text = "any { " .. texts(conditions) .. " }",
        holds = combined(conditions, disjunction) }
end

-- Scalars ------------------------------------------------------------------------------------------------------

local function shown(value)
    if value == orm.null then return "null" end
    return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

-- A comparison of two values that are there.
local function compared(name, value, test)
    return { where = op[name](value), text = name .. "(" .. shown(value) .. ")",
        holds = function(own)
            if own == nil then return nil end
            return test(own)
        end }
end

local function same(own, value)
    return own == value
end

local function is_null(where, text)
    return { where = where, text = text, holds = function(own) return own == nil end }
end

local function not_null(where, text)
    return { where = where, text = text, holds = function(own) return own ~= nil end }
end

local function membership(name, values, equal)
    local given, plain, has_null = {}, {}, false
    for i, value in ipairs(values) do
        given[i] = value
        if value == orm.null then has_null = true else plain[#plain + 1] = value end
    end
    local list = {}
    for i, value in ipairs(values) do list[i] = shown(value) end
    local function among(own)
        for _, value in ipairs(plain) do
            if equal(own, value) then return true end
        end
        return false
    end
    local made = { where = op[name](given), text = name .. " { " .. table.concat(list, ", ") .. " }" }
    if name == "one_of" then
        function made.holds(own)
            if own ~= nil or #plain == 0 and not has_null then return among(own) end
            if has_null then return true end
            return nil
        end
    else
        function made.holds(own)
            if own == nil then
                if has_null then return false end
                if #plain == 0 then return true end
                return nil
            end
            return not among(own)
        end
    end
    return made
end

-- What equality, lists and NULL make of a value, whatever it stands for.
local function equality(random, pick, equal)
    local roll, value = random(8), pick()
    if roll == 1 then
        return { where = value, text = shown(value), holds = function(own)
            if own == nil then return nil end
            return equal(own, value)
        end }
    elseif roll == 2 then
        return compared("eq", value, function(own) return equal(own, value) end)
    elseif roll == 3 then
        return compared("ne", value, function(own) return not equal(own, value) end)
    elseif roll == 4 then
        return is_null(orm.null, "null")
    elseif roll == 5 then
        return random(2) == 1 and is_null(op.is_null(), "is_null()") or is_null(op.eq(orm.null), "eq(null)")
    elseif roll == 6 then
        return random(2) == 1 and not_null(op.not_null(), "not_null()") or not_null(op.ne(orm.null), "ne(null)")
    end
    local values = {}
    for i = 1, random(5) - 1 do values[i] = random(5) == 1 and orm.null or pick() end
    return membership(roll == 7 and "one_of" or "not_one_of", values, equal)
end

local orders = {
    gt = function(a, b) return a > b end, gte = function(a, b) return a >= b end,
    lt = function(a, b) return a < b end, lte = function(a, b) return a <= b end,
}

local function order(random, pick, number_of)
    local name = random { "gt", "gte", "lt", "lte", "between" }
    local low = pick()
    if name ~= "between" then
        return compared(name, low, function(own) return orders[name](number_of(own), number_of(low)) end)
    end
    local high = pick()
    return { where = op.between(low, high), text = ("between(%s, %s)"):format(shown(low), shown(high)),
        holds = function(own)
            if own == nil then return nil end
            return number_of(own) >= number_of(low) and number_of(own) <= number_of(high)
        end }
end

-- '%' and '_' and plain letters.
local function as_lua_pattern(pattern)
    return "^" .. pattern:gsub(".", function(c)
        if c == "%" then return ".*" end
        if c == "_" then return "." end
        return c:find "%w" and c or "%" .. c
    end) .. "$"
end

local function has_at(start, finish)
    return function(own, value)
        local from, to = own:find(value, 1, true)
        if start then return from == 1 or value == "" end
        if finish then return value == "" or own:sub(-#value) == value end
        return to ~= nil
    end
end

local finders = { starts_with = has_at(true), ends_with = has_at(false, true), contains = has_at() }

local function text(random)
    local name = random { "like", "not_like", "ilike", "starts_with", "ends_with", "contains" }
    if finders[name] then
        local value = random { "a", "b", "ab", "%", "_", "" }
        return compared(name, value, function(own) return finders[name](own, value) end)
    end
    local pattern = random { "a%", "%b", "_", "%", "a_", "A%", "B", "" }
    return compared(name, pattern, function(own)
        local found = (name == "ilike" and own:lower() or own):find(as_lua_pattern(name == "ilike" and pattern:lower()
            or pattern)) ~= nil
        if name == "not_like" then return not found end
        return found
    end)
end

local function number_of(value) return tonumber(value) end

local kinds = {
    string = function(random)
        local function pick() return random { "a", "b", "ab", "B", "a%b", "" } end
        if random(2) == 1 then return text(random) end
        return equality(random, pick, same)
    end,
    integer = function(random)
        local function pick() return random(5) - 2 end
        if random(2) == 1 then return order(random, pick, number_of) end
        return equality(random, pick, same)
    end,
    decimal = function(random)
        local function pick() return random { "1.5", "1.50", "-1", "10", "9.99", 2 } end
        local function equal(own, value) return tonumber(own) == tonumber(value) end
        if random(2) == 1 then return order(random, pick, number_of) end
        return equality(random, pick, equal)
    end,
}

-- Entities -----------------------------------------------------------------------------------------------------

local conditions_of

-- A filter of an entity as a condition of its row.
local function nested(random, graph, name, depth)
    return composed(random, depth, function(left) return conditions_of(random, graph, name, left) end)
end

local function key_of(row)
    if row.key then return row.key end
    return row.id
end

local function picker(random, graph, name)
    local rows = graph.rows[name]
    return function() return rows[random(#rows)] end
end

-- A condition over rows, whose values have to be given as keys or as entities.
local function with_keys(random, graph, made)
    local function given(value)
        if type(value) ~= "table" or value == orm.null or not value.entity then return value end
        return random(2) == 1 and graph.entity_of(value) or key_of(value)
    end
    local where = made.where
    if type(where) == "table" and where.entity then
        made.where = given(where)
    elseif op.is_operator(where) then
        if type(where.value) == "table" and where.value.entity then where.value = given(where.value) end
        if where.kind == "one_of" or where.kind == "not_one_of" then
            for i, value in ipairs(where.value) do where.value[i] = given(value) end
        end
    end
    return made
end

local function quantified(random, graph, target, depth)
    local kind = random { "some", "none", "every" }
    local inner
    if kind ~= "every" and random(8) == 1 then
        inner = { where = {}, text = "{}", holds = function() return true end }
    elseif random(6) == 1 then
        local pick = picker(random, graph, target)
        local list = {}
        for i = 1, random(3) do list[i] = pick() end
        inner = with_keys(random, graph, membership("one_of", list, same))
    else
        inner = nested(random, graph, target, depth - 1)
    end
    return { where = op[kind](inner.where), text = kind .. "(" .. inner.text .. ")",
        holds = function(members)
            for _, member in ipairs(members) do
                local found = inner.holds(member)
                if kind == "some" and found == true then return true end
                if kind == "none" and found == true then return false end
                if kind == "every" and found ~= true then return false end
            end
            return kind ~= "some"
        end }
end

local function to_one(random, graph, target, depth)
    local roll = random(5)
    if roll <= 2 then
        return with_keys(random, graph, equality(random, picker(random, graph, target), same))
    elseif roll == 3 and depth > 0 then
        local made = quantified(random, graph, target, depth)
        local holds = made.holds
        made.holds = function(row) return holds(row and { row } or {}) end
        return made
    end
    local inner = conditions_of(random, graph, target, depth - 1)
    local holds = inner.holds
    return { where = inner.where, text = inner.text, holds = function(row)
        if row == nil then return false end
        return holds(row)
    end }
end

-- A table of one to three properties.
function conditions_of(random, graph, name, depth)
    local schema, where, parts, words = graph.schema[name], {}, {}, {}
    for _ = 1, random { 1, 1, 2, 3 } do
        local prop = random(schema)
        while depth <= 0 and prop.target do prop = random(schema) end
        if where[prop.name] == nil then
            local made
            if prop.many then
                made = composed(random, 1, function() return quantified(random, graph, prop.target, depth) end)
            elseif prop.target then
                made = composed(random, 1, function() return to_one(random, graph, prop.target, depth) end)
            else
                made = composed(random, 1, function() return kinds[prop.kind](random) end)
            end
            where[prop.name] = made.where
            parts[#parts + 1] = { holds = function(row) return made.holds(row[prop.name]) end }
            words[#words + 1] = prop.name .. " = " .. made.text
        end
    end
    return { where = where, text = "{ " .. table.concat(words, ", ") .. " }", holds = combined(parts, conjunction) }
end

--- A filter of an entity, what it means for a row, and how to write it.
---@return any where
---@return fun(row: table): boolean|nil holds
---@return string text
function random_filters.filter(random, graph, name, depth)
    local made = nested(random, graph, name, depth or 3)
    return made.where, made.holds, made.text
end

return random_filters
