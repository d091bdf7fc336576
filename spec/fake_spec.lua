-- orm.fake: made-up values that are the same for a seed wherever they are made.

local unit = require "spec.support.unit"
local orm = require "heddle"

local raises = unit.raises

local kinds = {
    "integer", "float", "decimal", "boolean", "timestamp", "date", "time", "uuid", "word", "words", "title", "sentence",
    "paragraph", "paragraphs", "text", "slug", "color", "first_name", "last_name", "name", "email", "username", "url",
    "ip", "phone", "city", "country", "street", "postcode", "address", "company", "job", "domain", "bytes",
}

local function text_of(value)
    return type(value) == "number" and ("%.17g"):format(value) or tostring(value)
end

-- Everything that a source gives, as one text.
local function all(fake)
    local parts = {}
    for round = 1, 20 do
        for _, kind in ipairs(kinds) do parts[#parts + 1] = text_of(fake[kind](fake)) end
        parts[#parts + 1] = table.concat(fake:shuffle { 1, 2, 3, 4, round }, " ")
    end
    return table.concat(parts, "\n")
end

-- A small checksum that every interpreter computes alike.
local function sum_of(text)
    local sum = 1
    for i = 1, #text do sum = (sum * 257 + text:byte(i)) % 1000003 end
    return sum
end

describe("orm.fake", function()
    it("gives the same values for a seed on every interpreter", function()
        assert.equal(639161, sum_of(all(orm.fake(42))))
        assert.equal(all(orm.fake(42)), all(orm.fake(42)))
        assert.equal(all(orm.fake "a word"), all(orm.fake "a word"))
        assert.equal(all(orm.fake(42)), all(orm.fake(42.0)))
    end)

    it("gives others for other seeds, and for none, whose seed repeats them", function()
        local seen = {}
        for seed = 1, 200 do
            local text = all(orm.fake(seed))
            assert.is_nil(seen[text])
            seen[text] = true
        end
        local fake = orm.fake()
        assert.equal(all(orm.fake(fake.seed)), all(fake))
    end)

    it("near seeds do not give near values", function()
        local steps = {}
        for seed = 1, 100 do
            local step = orm.fake(seed + 1):integer(0, 1e9) - orm.fake(seed):integer(0, 1e9)
            assert.is_nil(steps[step])
            steps[step] = true
        end
    end)

    it("spreads numbers evenly and keeps to the bounds", function()
        local fake, counts = orm.fake(7), {}
        for _ = 1, 20000 do
            local value = fake:integer(-2, 7)
            counts[value] = (counts[value] or 0) + 1
        end
        for value = -2, 7 do assert.is_true(counts[value] > 1800 and counts[value] < 2200) end
        assert.is_nil(counts[8] or counts[-3])
        for _ = 1, 1000 do
            local value = fake:integer(-2 ^ 52, 2 ^ 52)
            assert.is_true(value >= -2 ^ 52 and value <= 2 ^ 52 and value == math.floor(value))
        end
        assert.equal(5, fake:integer(5, 5))
        if math.type then assert.equal("integer", math.type(fake:integer(1.0, 9.0))) end
    end)

    it("gives decimals as text with their scale", function()
        local fake = orm.fake(3)
        for _ = 1, 500 do
            local text = fake:decimal(-3, 3, 3)
            assert.truthy(text:match "^%-?%d%.%d%d%d$")
            assert.is_true(tonumber(text) >= -3 and tonumber(text) <= 3)
        end
        assert.truthy(fake:decimal(0, 9, 0):match "^%d$")
        assert.equal("0.25", fake:decimal(0.25, 0.25, 2))
    end)

    it("gives dates, times and moments within bounds", function()
        local fake = orm.fake(4)
        for _ = 1, 300 do
            local day = fake:date("2024-02-27", "2024-03-01")
            assert.is_true(day >= "2024-02-27" and day <= "2024-03-01")
            assert.truthy(day:match "^2024%-0[23]%-%d%d$" and day ~= "2024-02-30")
            local at = fake:timestamp("2024-02-29T12:00:00Z", "2024-02-29T12:00:03Z")
            assert.is_true(at >= 1709208000 and at <= 1709208003)
            assert.truthy(fake:time():match "^[012]%d:[0-5]%d:[0-5]%d$")
        end
        assert.equal("1969-12-31", fake:date(-1, -1))
        assert.equal("2000-02-29", fake:date("2000-02-29", "2000-02-29"))
        assert.equal(orm.date("!%Y-%m-%d", 1e9), fake:date(1e9, 1e9))
        raises("validation", fake.date, fake, "yesterday")
        raises("validation", fake.timestamp, fake, "2024-01-02", "2024-01-01")
    end)

    it("makes uuids of version 4, and mail for nobody", function()
        local fake = orm.fake(5)
        for _ = 1, 100 do
            assert.truthy(fake:uuid():match "^%x+%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x+$")
            assert.equal(36, #fake:uuid())
            assert.truthy(fake:email():match "^[a-z]+%.[a-z]+%d+@example%.%a+$")
        end
        assert.truthy(fake:email("Ann O'Neil"):match "^ann%.o%.neil%d+@")
        assert.equal(16, #fake:bytes())
        assert.is_true(#fake:text(50) <= 50)
    end)

    it("unique gives no value twice, and says when there is none left", function()
        local fake, seen = orm.fake(6), {}
        for _ = 1, 5000 do
            local email = fake:unique "email"
            assert.is_nil(seen[email])
            seen[email] = true
        end
        local all_three = { fake:unique("integer", 1, 3), fake:unique("integer", 1, 3), fake:unique("integer", 1, 3) }
        table.sort(all_three)
        assert.same({ 1, 2, 3 }, all_three)
        local err = raises("validation", fake.unique, fake, "integer", 1, 3)
        assert.truthy(err.message:find("3 values", 1, true))
        assert.equal(9, fake:unique("integer", 9, 9))
        err = raises("validation", fake.unique, fake, "emial")
        assert.truthy(err.message:find("did you mean 'email'", 1, true))
        raises("validation", fake.unique, fake, "__index")
    end)

    it("weighs, picks, samples and shuffles", function()
        local fake, counts = orm.fake(8), { a = 0, b = 0, c = 0 }
        for _ = 1, 2000 do
            local value = fake:weighted { { "a", 9 }, { "b", 1 }, { "c", 0 } }
            counts[value] = counts[value] + 1
        end
        assert.is_true(counts.a > 1700 and counts.b > 120)
        assert.equal(0, counts.c)
        local list = { 1, 2, 3, 4, 5 }
        local shuffled = fake:shuffle(list)
        table.sort(shuffled)
        assert.same({ 1, 2, 3, 4, 5 }, shuffled)
        assert.same({ 1, 2, 3, 4, 5 }, list)
        local some = fake:sample(list, 3)
        table.sort(some)
        assert.is_true(#some == 3 and some[1] < some[2] and some[2] < some[3])
        for _, bad in ipairs { { "pick", {} }, { "pick", "x" }, { "sample", list, 6 }, { "weighted", {} },
            { "weighted", { { "a", 0 } } }, { "weighted", { "a" } }, { "integer", 5, 1 }, { "integer", "a", 1 },
            { "float", 2, 1 }, { "shuffle" } } do
            raises("validation", fake[bad[1]], fake, bad[2], bad[3])
        end
        assert.same({ 1, 2, 1 }, { fake:sequence "x", fake:sequence "x", fake:sequence "y" })
    end)

    it("a misspelt name and a wrong seed are told", function()
        local fake = orm.fake(1)
        local err = raises("unknown_property", function() return fake:naem() end)
        assert.truthy(err.message:find("did you mean 'name'", 1, true))
        raises("validation", orm.fake, {})
        assert.equal("fake<1>", tostring(fake))
    end)

    it("json is a document that JSON has", function()
        local core = require "heddle.core"
        local fake = orm.fake(9)
        for _ = 1, 50 do assert.equal("string", type(core.encode(fake:json()))) end
    end)
end)
