-- The option `default`: what the column would not take is found when the entity is defined, not by its first flush.

local entity = require "heddle.entity"
local errors = require "heddle.errors"
local types = require "heddle.types"

local id = { "id", type = "integer", primary = true }

-- A definition with one more property.
local function with(property) return { name = "User", id, property } end

local function refused(definition)
    local ok, err = pcall(entity.entity, definition)
    assert.is_false(ok)
    assert.is_true(errors.is_error(err, "metadata"), tostring(err))
    assert.matches("'x'.*'default'", err.message)
end

describe("defaults", function()
    it("a default that the column would not take is refused, one that it would is kept as it is", function()
        local function kind(name) return { "x", type = name } end
        local cases = {
            { kind "smallint", { 40000, 1.5, "x" }, { 1, "32000", -5 } },
            { kind "integer", { "x", 1.5, 2 ^ 40, "1.5" }, { 0, "12", -3 } },
            { kind "bigint", { "x", 2 ^ 70 }, { 1, "9223372036854775807" } },
            { kind "double", { "x", "2.5" }, { 1.5, 1, math.huge } },
            { { "x", type = "decimal", precision = 4, scale = 2 }, { "x", "123.45", "1.234" }, { "1.5", 2, "-1.25" } },
            { { "x", type = "decimal", precision = 4 }, { "1.5" }, { "15" } },
            { { "x", type = "string", length = 3 }, { "abcd", "\255", "a\0" }, { "abc", "" } },
            { kind "uuid", { "x", "123" }, { "8C7FB4EE-9D0D-4D5E-8B0A-0A3F5C1B2D3E" } },
            { kind "date", { "x", "2026-13-01", "2026-02-30" }, { "2026-02-28" } },
            { kind "time", { "x", "25:00" }, { "12:30", "12:30:15" } },
            { kind "timestamp", { "x", 1e300 }, { 0, 1.5, "2026-01-01T00:00:00Z" } },
            { { "x", array_of = "integer" }, { { "x" }, { a = 1 }, { 1.5 } }, { {}, { 1, 2 } } },
            { kind "json", { { print }, { [1] = 1, a = 2 } }, { {}, { a = { 1 } }, "text", 5, false } },
            { kind "blob", {}, { "\255\0" } },
        }
        for _, case in ipairs(cases) do
            local property = case[1]
            for _, value in ipairs(case[2]) do
                property.default = value
                refused(with(property))
            end
            for _, value in ipairs(case[3]) do
                property.default = value
                assert.equal(value, entity.metadata(entity.entity(with(property))).by_name.x.default)
            end
        end
        local odd = types.custom { column = "integer", to_db = tonumber, from_db = tostring }
        entity.entity(with { "x", type = odd, default = "x" })
        entity.entity(with { "x", type = "integer", persist = false, default = "x" })
    end)
end)
