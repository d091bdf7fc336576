--- A graph of instances as text, to compare graphs with.
--
--     local graph = require "spec.support.graph"
--     assert.equal(graph.text(em:find(Author, {}, { populate = { "books" } })), expected)
--
-- Every instance that is reached over what is loaded stands there once, in the order in which it is met: entity, key,
-- whether it is initialized, what each of its properties says, or that it is not loaded.

local orm = require "heddle"

local graph = {}

local function is_entity(value)
    local meta = type(value) == "table" and getmetatable(value)
    return type(meta) == "table" and rawget(meta, "is_heddle")
end

--- A value as text; tables by their sorted names.
function graph.show(value)
    if type(value) ~= "table" or is_entity(value) then return tostring(value) end
    local meta = getmetatable(value)
    if meta and rawget(meta, "__tostring") then return tostring(value) end
    local names, parts = {}, {}
    for name in pairs(value) do names[#names + 1] = name end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for i, name in ipairs(names) do parts[i] = tostring(name) .. "=" .. graph.show(value[name]) end
    return "{" .. table.concat(parts, " ") .. "}"
end

-- "Book(de,3)"; of a relation in the key its target's.
local function name_of(e)
    local definition = getmetatable(e).definition
    local key = {}
    for i, prop in ipairs(definition.primary) do
        local value = e[prop.property or prop.name]
        key[i] = is_entity(value) and name_of(value) or tostring(value)
    end
    return ("%s(%s)"):format(definition.name, table.concat(key, ","))
end

-- What a property says; `meet(e)` is told of the instances in it.
local function say(e, prop, meet)
    local ok, value = pcall(function() return e[prop.name] end)
    if not ok then
        if not orm.is_error(value, "not_loaded") then error(value, 0) end
        return "not loaded"
    end
    if type(value) == "userdata" and value ~= orm.null then
        if not value:is_initialized() then return "unknown" end
        local names = {}
        for i, member in value:iter() do
            names[i] = name_of(member)
            meet(member)
        end
        return "[" .. table.concat(names, " ") .. "]" .. (value:is_dirty() and " dirty" or "")
    end
    if not is_entity(value) then return graph.show(value) end
    meet(value)
    return name_of(value)
end

--- Everything that a list of instances leads to.
function graph.text(list)
    local lines, met, queue = {}, {}, {}
    local function meet(e)
        if not met[e] then
            met[e] = true
            queue[#queue + 1] = e
        end
    end
    local roots = {}
    for i, e in ipairs(list) do
        roots[i] = name_of(e)
        meet(e)
    end
    lines[1] = table.concat(roots, " ")
    local at, names = 1, {}
    while queue[at] do
        local e = queue[at]
        at = at + 1
        local name = name_of(e)
        local parts = { name, getmetatable(e).load_state, tostring(orm.is_initialized(e)) }
        for _, prop in ipairs(getmetatable(e).definition.properties) do
            parts[#parts + 1] = prop.name .. ": " .. say(e, prop, meet)
        end
        -- References of instances of nobody are not one for one row.
        if names[name] and getmetatable(e).load_state ~= "unmanaged" then error("two instances of " .. name) end
        names[name] = true
        lines[#lines + 1] = table.concat(parts, " | ")
    end
    return table.concat(lines, "\n")
end

local add_along

local function add_one(lines, indent, e, entries, fields, is_shown)
    local parts, targets = { indent .. name_of(e) }, {}
    local by_name = getmetatable(e).definition.by_name
    local function ignore() end
    for _, prop in ipairs(getmetatable(e).definition.properties) do
        if prop.kind == "scalar" and not prop.lazy and not fields then parts[#parts + 1] = say(e, prop, ignore) end
    end
    for _, name in ipairs(fields or {}) do parts[#parts + 1] = say(e, by_name[name], ignore) end
    for i, entry in ipairs(entries or {}) do
        targets[i] = {}
        parts[#parts + 1] = say(e, by_name[entry[1]], function(target) table.insert(targets[i], target) end)
    end
    lines[#lines + 1] = table.concat(parts, " | ")
    for i, entry in ipairs(entries or {}) do
        add_along(lines, indent .. "  ", targets[i], entry.populate, entry.fields, is_shown)
    end
end

function add_along(lines, indent, list, entries, fields, is_shown)
    for _, e in ipairs(list) do
        if is_shown(e) then
            add_one(lines, indent, e, entries, fields, is_shown)
        else
            lines[#lines + 1] = indent .. name_of(e)
        end
    end
end

--- What a query asked for, and nothing besides: along entries of populate, each { relation, populate =, fields = }, of
--- those instances that are to be shown.
function graph.along(list, opts, is_shown)
    local lines = {}
    add_along(lines, "", list, opts.populate, opts.fields, is_shown)
    return table.concat(lines, "\n")
end

return graph
