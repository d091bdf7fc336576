--- What PostgreSQL's jsonb says of documents, as plain Lua: equality, containment, the value at a path. Numbers compare
--- by value; JSON null is orm.null; a table is an array when it has orm.array's mark.
--
--     json_model.contains({ a = { b = 1 } }, { a = {} })       -- true

local orm = require "heddle"

local array = require "heddle.array"

local json_model = {}

local function is_array(value) return array.is_array(value) end

local function is_scalar(value) return type(value) ~= "table" end

--- Copies of tables, marked: what has 1 is an array.
function json_model.marked(value)
    if is_scalar(value) then return value end
    local made = {}
    for key, item in pairs(value) do made[key] = json_model.marked(item) end
    return (is_array(value) or made[1] ~= nil) and orm.array(made) or made
end

function json_model.equal(a, b)
    if is_scalar(a) or is_scalar(b) then return type(a) == type(b) and a == b end
    if is_array(a) ~= is_array(b) then return false end
    for key, item in pairs(a) do
        if b[key] == nil or not json_model.equal(item, b[key]) then return false end
    end
    for key in pairs(b) do
        if a[key] == nil then return false end
    end
    return true
end

local contains_table

local function contains_value(a, b)
    if is_scalar(a) or is_scalar(b) then return json_model.equal(a, b) end
    return contains_table(a, b)
end

local function some_item(a, wanted)
    for _, item in ipairs(a) do
        if contains_value(item, wanted) then return true end
    end
    return false
end

function contains_table(a, b)
    if is_array(a) ~= is_array(b) then return false end
    for key, wanted in pairs(b) do
        if is_array(a) then
            if not some_item(a, wanted) then return false end
        elseif a[key] == nil or not contains_value(a[key], wanted) then
            return false
        end
    end
    return true
end

function json_model.contains(a, b)
    if is_scalar(b) and not is_scalar(a) and is_array(a) then return some_item(a, b) end
    return contains_value(a, b)
end

--- The value at a path of names and places (from 1 on, or from -1 backwards); nil for none and for JSON null.
function json_model.at(value, path)
    for _, step in ipairs(path) do
        if is_scalar(value) or value == nil then return nil end
        if type(step) == "number" then
            if not is_array(value) then return nil end
            value = value[step < 0 and #value + 1 + step or step]
        elseif is_array(value) then
            return nil
        else
            value = value[step]
        end
        if value == nil then return nil end
    end
    if value == orm.null then return nil end
    return value
end

return json_model
