local null = require "heddle.null"
local op = require "heddle.op"
local plans = require "spec.support.plans"

describe("operators", function()
    local one_argument = {
        "eq", "ne", "gt", "gte", "lt", "lte", "one_of", "not_one_of", "like", "not_like", "ilike", "starts_with",
        "ends_with", "contains", "all", "any", "negate", "raw", "some", "none", "every", "json", "contained",
        "overlaps", "matches",
    }

    it("Q1: each function refuses nil", function()
        for _, name in ipairs(one_argument) do
            local err = plans.raises("validation", op[name], nil)
            assert.truthy(err.message:find("op." .. name, 1, true))
        end
        plans.raises("validation", op.between, nil, 1)
        plans.raises("validation", op.between, 1, nil)
        plans.raises("validation", op.raw, "a = ?", nil)
    end)

    it("has every operator of the contract", function()
        for _, name in ipairs(one_argument) do assert.is_function(op[name]) end
        for _, name in ipairs { "between", "is_null", "not_null" } do assert.is_function(op[name]) end
    end)

    it("NULL has no order", function()
        for _, name in ipairs { "gt", "gte", "lt", "lte", "contains" } do
            plans.raises("validation", op[name], null)
        end
        plans.raises("validation", op.between, null, 1)
        plans.raises("validation", op.between, 1, null)
    end)

    it("patterns are strings", function()
        for _, name in ipairs { "like", "not_like", "ilike", "starts_with", "ends_with" } do
            plans.raises("validation", op[name], 3)
            plans.raises("validation", op[name], {})
            plans.raises("validation", op[name], null)
        end
    end)

    it("lists have neither holes nor names", function()
        for _, name in ipairs { "one_of", "not_one_of", "any", "all" } do
            plans.raises("validation", op[name], "abc")
            plans.raises("validation", op[name], { a = 1 })
            plans.raises("validation", op[name], { 1, 2, x = 3 })
            plans.raises("validation", op[name], { 1, nil, 3, nil, 5 })
            plans.raises("validation", op[name], op.eq(1))
        end
    end)

    it("Q1: an empty all is refused, an empty any and one_of are not", function()
        plans.raises("validation", op.all, {})
        assert.is_true(op.is_operator(op.any {}))
        assert.is_true(op.is_operator(op.one_of {}))
    end)

    it("only these functions make operators", function()
        assert.is_true(op.is_operator(op.eq(1)))
        assert.is_false(op.is_operator({ kind = "eq", value = 1 }))
        assert.is_false(op.is_operator("eq"))
        assert.is_false(op.is_operator(nil))
    end)

    it("raw takes scalars and orm.null", function()
        assert.is_true(op.is_operator(op.raw("a = ? or b = ? or c = ? or d = ?", 1, "x", true, null)))
        plans.raises("validation", op.raw, "a = ?", {})
        plans.raises("validation", op.raw, "a = ?", print)
        plans.raises("validation", op.raw, 5)
    end)

    it("shows itself without its value", function()
        assert.equal("op.eq", tostring(op.eq("secret")))
    end)
end)
