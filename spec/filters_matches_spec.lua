-- op.matches: regular expressions, alike on both drivers.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op, raises = orm.op, expect.raises

local Text = orm.entity { name = "Text", { "id", type = "integer", primary = true },
    { "body", type = "text", nullable = true } }

-- Each pattern with what it finds and what it does not.
local cases = {
    { "b", { "abc", "b" }, { "", "ac", "B" } },
    { "", { "", "x" }, {} },
    { "^a.c$", { "abc", "a\nc", "aéc", "a語c" }, { "ac", "abbc", "xabc" } },
    { "a*b", { "b", "aab" }, { "aa" } },
    { "^a+$", { "a", "aaa" }, { "", "ab" } },
    { "^ab?c$", { "ac", "abc" }, { "abbc" } },
    { "^a{2}$", { "aa" }, { "a", "aaa" } },
    { "^(ab){2,}$", { "abab", "ababab" }, { "ab", "aba" } },
    { "^a{0,2}$", { "", "a", "aa" }, { "aaa" } },
    { "^a{2,4}b$", { "aab", "aaab", "aaaab" }, { "ab", "aaaaab" } },
    { "^xa{0}y$", { "xy" }, { "xay" } },
    { "^(a|bc|)$", { "a", "bc", "" }, { "b", "c", "abc" } },
    { "a|b|c", { "xc", "b" }, { "d" } },
    { "^(?:a(b|c)*)+d$", { "ad", "abcbacd" }, { "bd", "abc" } },
    { "^(a*)*$", { "", "aaa" }, { "ab" } },
    { "^(a*)+b", { "aaab", "b" }, { "aaa" } },
    { "^[a-c]+$", { "abc" }, { "abd", "B" } },
    { "^[^a-c]$", { "d", "é", "-" }, { "a" } },
    { "^[]x-]+$", { "]", "x-" }, { "a" } },
    { "^[é-ö]$", { "ö", "ê" }, { "e" } },
    { "^[[:digit:][:upper:]_]+$", { "A1_" }, { "a" } },
    { "^[\\d.]+$", { "1.5" }, { "a" } },
    { "^\\d\\D\\s\\S\\w\\W$", { "1a x_-" }, { "1a x-_" } },
    { "^\\.\\*\\\\$", { ".*\\" }, { "a*\\" } },
    { "^a\\tb$", { "a\tb" }, { "atb" } },
    { "\\mcat\\M", { "a cat.", "cat" }, { "concat", "cats" } },
    { "\\yin\\y", { "in it" }, { "inn" } },
    { "^a.*?b$", { "ab", "axb" }, { "abc" } },
    { "^a{x$", { "a{x" }, { "aax" } },
    { "日本?", { "日", "x日本" }, { "本" } },
}

databases.each(function(db)
    describe("op.matches", function()
        local work, em

        setup(function()
            work = unit.open(db, { Text })
            em = work.em
        end)

        teardown(function()
            work:close()
            db:close()
        end)

        local function found(pattern)
            local texts = {}
            for _, row in ipairs(em:find(Text, { body = op.matches(pattern) })) do texts[row.body] = true end
            return texts
        end

        it("finds what PostgreSQL's ~ finds", function()
            local seen = {}
            for _, case in ipairs(cases) do
                for k = 2, 3 do
                    for _, text in ipairs(case[k]) do
                        if not seen[text] then em:insert(Text, { body = text }) end
                        seen[text] = true
                    end
                end
            end
            em:insert(Text, {})
            for _, case in ipairs(cases) do
                local texts = found(case[1])
                for _, text in ipairs(case[2]) do assert.is_true(texts[text], case[1] .. " finds " .. text) end
                for _, text in ipairs(case[3]) do assert.is_nil(texts[text], case[1] .. " does not find " .. text) end
            end
            local both = op.all { op.matches "^a", op.negate(op.matches "c$") }
            for _, row in ipairs(em:find(Text, { body = both })) do
                assert.is_truthy(row.body:find "^a" and not row.body:find "c$")
            end
        end)

        it("a wrong pattern is validation, whatever it is", function()
            if em:count(Text, {}) == 0 then em:insert(Text, { body = "x" }) end
            for _, pattern in ipairs { "(", "(a", "[a", "[", "*", "a**", "+a", "a{2,1}", "a{300}", "a{2", "{2}",
                "a|{2}b", "[z-a]", "[[:nothing:]]", "a\\", "^*" } do
                local err = raises("validation", function() em:find(Text, { body = op.matches(pattern) }) end)
                assert.is_nil(err.message:find(pattern, 1, true) and #pattern > 2 or nil)
            end
        end)

        if db.name == "sqlite" then
            it("what needs backtracking, or cannot be afforded, is unsupported", function()
                for _, pattern in ipairs { "(?=a)", "(?!a)", "(a)\\1", "(?i)a", "***=a", "[[.a.]]",
                    "((a{255}){255}){255}",
                    ("("):rep(200) .. (")"):rep(200) } do
                    raises("unsupported", function() em:find(Text, { body = op.matches(pattern) }) end, "op.matches")
                end
            end)

            it("takes a time in proportion to the text", function()
                em:insert(Text, { body = ("a"):rep(2000) })
                local began = os.clock()
                found "^(a|a)*(a|aa)+(a*)*b$"
                assert.is_true(os.clock() - began < 2)
            end)
        end
    end)
end)
