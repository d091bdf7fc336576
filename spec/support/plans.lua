--- Mappings and plans without a database, for the specs of the SQL compilers.
--
--     local plans = require "spec.support.plans"
--     local user = plans.mappings("sqlite", { User, Team }).User
--     plans.text(select.find(user, { name = "x" }))      -- its SQL with the values written in their places
--
-- The text goes to a raw connection, so that what a plan says can be seen to work without Heddle's drivers.

local asserted = require "spec.support.asserted"
local mapping = require "heddle.mapping"
local naming = require "heddle.naming"
local null = require "heddle.null"

local plans = {}

function plans.mappings(driver, entities)
    return mapping.build("default", driver, entities, naming.strategy()).by_name
end

local function literal(value)
    if value == null then return "NULL" end
    if type(value) == "string" then return "'" .. value:gsub("'", "''") .. "'" end
    if type(value) == "number" then return value % 1 == 0 and ("%.0f"):format(value) or ("%.17g"):format(value) end
    if type(value) == "boolean" then return value and "TRUE" or "FALSE" end
    error("plans: no literal for a " .. type(value))
end

local function list(value, postgres)
    local items = {}
    for i, item in ipairs(value) do items[i] = literal(item) end
    if postgres then return "ARRAY[" .. table.concat(items, ", ") .. "]" end
    return "'[" .. table.concat(items, ", "):gsub("'", '"') .. "]'"
end

--- The SQL of a plan with its parameters written out. Every parameter has to be described and used.
function plans.text(plan, params)
    assert(#plan.param_columns == #params, ("%d descriptors for %d parameters"):format(#plan.param_columns, #params))
    local used = 0
    local text = plan.sql:gsub("([$?])(%d+)", function(mark, number)
        number = tonumber(number)
        used = used + 1
        assert(plan.param_columns[number].type, "a parameter without a type")
        local value = params[number]
        return type(value) == "table" and list(value, mark == "$") or literal(value)
    end)
    assert(used == #params, ("%d placeholders for %d parameters"):format(used, #params))
    return text
end

--- The condition alone: what stands between WHERE and the end.
function plans.where(plan, params)
    return (plans.text(plan, params):match(" WHERE (.*)$"))
end

--- Runs a function that has to raise an error of one kind; gives the error.
function plans.raises(kind, fn, ...)
    local errors = require "heddle.errors"
    asserted.note()
    local ok, err = pcall(fn, ...)
    assert(not ok, "nothing was raised, expected " .. kind)
    assert(errors.is_error(err), "no error of Heddle's: " .. tostring(err))
    assert(err.kind == kind, ("raised %s, expected %s: %s"):format(err.kind, kind, err.message))
    return err
end

return plans
