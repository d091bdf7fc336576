local compat = require "heddle.compat"
local errors = require "heddle.errors"
local suggest = require "heddle.suggest"

local function here() return debug.getinfo(2, "l").currentline end

describe("errors", function()
    it("contract 6: an error is a table whose tostring ends with the caller's place", function()
        local line
        local ok, err = pcall(function()
            line = here() + 1
            errors.raise("validation", "too long", { entity = "User", property = "name" })
        end)
        assert.is_false(ok)
        assert.equal("table", type(err))
        assert.equal("validation", err.kind)
        assert.equal("too long", err.message)
        assert.equal("User", err.entity)
        assert.equal("name", err.property)
        assert.truthy(err.where:find("errors_spec.lua:" .. line, 1, true))
        assert.equal("too long at " .. err.where, tostring(err))
    end)

    it("contract 6: every kind of the contract can be made, another is a fault of the program", function()
        local count = 0
        for kind in ([[config duplicate_context context_not_found no_request_context global_context
            entity_not_registered metadata unknown_property validation not_found not_loaded not_managed
            wrong_context connection pool_timeout unique_violation foreign_key_violation not_null_violation
            check_violation syntax table_not_found deadlock lock_timeout serialization_failure timeout canceled
            optimistic_lock transaction_required read_only busy commit_order hook unsupported migration closed
            driver]]):gmatch("%S+") do
            assert.is_true(errors.is_error(errors.new(kind, "text"), kind))
            count = count + 1
        end
        assert.equal(36, count)
        local ok, err = pcall(errors.new, "validaton", "text")
        assert.is_false(ok)
        assert.equal("string", type(err))
    end)

    it("contract 6: 'constraint' is the family of the four violations", function()
        for _, kind in ipairs { "unique", "foreign_key", "not_null", "check" } do
            assert.is_true(errors.is_error(errors.new(kind .. "_violation", "text"), "constraint"))
        end
        assert.is_false(errors.is_error(errors.new("validation", "text"), "constraint"))
        assert.is_false(errors.is_error(errors.new("validation", "text"), "config"))
        assert.is_true(errors.is_error(errors.new("validation", "text")))
    end)

    it("contract 6: what is not Heddle's is no error of Heddle's", function()
        for _, value in ipairs { "text", 1, true, {}, { kind = "validation", message = "text" } } do
            assert.is_false(errors.is_error(value))
        end
        assert.is_false(errors.is_error(nil, "validation"))
    end)

    it("contract 6: only with debug an error carries a traceback", function()
        assert.is_nil(errors.new("driver", "text").traceback)
        errors.debug = true
        local err = errors.new("driver", "text")
        errors.debug = false
        assert.truthy(err.traceback:find("errors_spec.lua", 1, true))
    end)

    it("a record of the core becomes an error, words and fields untouched", function()
        local err = errors.from_core { kind = "unique_violation", message = "taken", sqlstate = "23505", detail = "x" }
        assert.is_true(errors.is_error(err, "unique_violation"))
        assert.equal("23505", err.sqlstate)
        assert.equal("taken at " .. err.where, tostring(err))
        assert.equal("pool timeout", errors.from_core { kind = "pool_timeout" }.message)
    end)

    it("an error can be concatenated", function()
        local err = errors.new("driver", "text")
        assert.equal("failed: " .. tostring(err), "failed: " .. err)
        assert.equal(tostring(err) .. "!", err .. "!")
    end)

    it("a name in a message stays on one line and short", function()
        assert.equal("'a?b'", errors.quote("a\nb"))
        assert.equal(66, #errors.quote(("x"):rep(1000)))
        assert.equal("a table", errors.quote({}))
        assert.equal("7", errors.quote(7))
    end)

    it("code that Heddle generates is not the caller's place", function()
        local raise = compat.load("local errors = ...; errors.raise('driver', 'text')", "=heddle: User.gather")
        local line = here() + 1
        local _, err = pcall(function() raise(errors) return nil end)
        assert.truthy(err.where:find("errors_spec.lua:" .. line, 1, true))
    end)
end)

describe("suggestions", function()
    local names = { "name", "email", "created_at", "description", "id" }

    it("Q1: the nearest name is found through typing mistakes and other spellings", function()
        assert.equal("name", suggest.nearest("nmae", names))
        assert.equal("email", suggest.nearest("emial", names))
        assert.equal("email", suggest.nearest("EMAIL", names))
        assert.equal("created_at", suggest.nearest("createdAt", names))
        assert.equal("description", suggest.nearest("desc", names))
        assert.equal("id", suggest.nearest("idd", names))
    end)

    it("Q1: what is like nothing gets no suggestion", function()
        assert.is_nil(suggest.nearest("password", names))
        assert.is_nil(suggest.nearest("", names))
        assert.is_nil(suggest.nearest(12, names))
        assert.is_nil(suggest.nearest(("name"):rep(100), names))
        assert.equal("", suggest.hint("password", names))
    end)

    it("a set of names serves as well as a list", function()
        assert.equal(" (did you mean 'email'?)", suggest.hint("emai", { email = 1, name = 2 }))
    end)
end)

describe("compat", function()
    it("math_type tells integers from floats on every interpreter", function()
        assert.equal("integer", compat.math_type(7))
        assert.equal("integer", compat.math_type(-2 ^ 31 == -2147483648 and -2147483648))
        assert.equal("float", compat.math_type(0.5))
        assert.equal("float", compat.math_type(0 / 0))
        assert.equal("float", compat.math_type(1 / 0))
        assert.is_nil(compat.math_type("7"))
        assert.equal(compat.is_51 and "integer" or "float", compat.math_type(2.0))
        assert.equal("float", compat.math_type(2.0 ^ 60))
    end)

    it("running names the coroutine, the main one too", function()
        local co, is_main = compat.running()
        local inner, inner_main
        local thread = coroutine.create(function() inner, inner_main = compat.running() end)
        coroutine.resume(thread)
        assert.not_nil(co)
        assert.equal("boolean", type(is_main))
        assert.equal(thread, inner)
        assert.is_false(inner_main)
    end)

    it("load takes source text with an environment and never bytecode", function()
        local environment = {}
        compat.load("answer = 42", "=chunk", environment)()
        assert.equal(42, environment.answer)
        assert.is_nil(rawget(_G, "answer"))
        assert.is_nil((compat.load(string.dump(function() end), "=chunk")))
    end)

    it("pack, unpack and move keep nils and overlapping ranges", function()
        local packed = compat.pack(nil, 2, nil)
        assert.equal(3, packed.n)
        assert.equal(2, (select(2, compat.unpack(packed, 1, packed.n))))
        assert.same({ 1, 1, 2, 3 }, compat.move({ 1, 2, 3 }, 1, 3, 2))
        assert.same({ 2, 3, 3 }, compat.move({ 1, 2, 3 }, 2, 3, 1))
    end)
end)
