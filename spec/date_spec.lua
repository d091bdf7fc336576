local date = require "heddle.date"
local errors = require "heddle.errors"

describe("orm.date", function()
    it("contract 1: formats whole and fractional timestamps alike", function()
        assert.equal("2023-11-14 22:13:20", date.format("!%Y-%m-%d %H:%M:%S", 1700000000))
        assert.equal("2023-11-14 22:13:20", date.format("!%Y-%m-%d %H:%M:%S", 1700000000.25))
        assert.equal("22:13:20.250000", date.format("!%H:%M:%S.%f", 1700000000.25))
        assert.equal("22:13:20.000000 100%f", date.format("!%H:%M:%S.%f 100%%f", 1700000000))
        assert.equal(2023, date.format("!*t", 1700000000.5).year)
        assert.equal(os.date("%c", 1700000000), date.format(nil, 1700000000))
    end)

    it("contract 1: microseconds are kept before 1970 and rounded into the next second", function()
        assert.equal("1969-12-31 23:59:58.500000", date.format("!%Y-%m-%d %H:%M:%S.%f", -1.5))
        assert.equal("00:00:01.000000", date.format("!%H:%M:%S.%f", 0.9999999))
        assert.equal("00:00:00.000001", date.format("!%H:%M:%S.%f", 0.000001))
    end)

    it("contract 1: formats ISO 8601 strings", function()
        local function utc(text) return date.format("!%Y-%m-%d %H:%M:%S.%f", text) end
        assert.equal("2024-02-29 12:34:56.123456", utc "2024-02-29T12:34:56.123456Z")
        assert.equal("2024-02-29 12:34:56.120000", utc "2024-02-29 12:34:56.12")
        assert.equal("2024-02-29 10:34:00.000000", utc "2024-02-29T12:34+02:00")
        assert.equal("2024-03-01 00:34:56.000000", utc "2024-02-29T19:04:56-0530")
        assert.equal("1900-01-01 00:00:00.000000", utc "1900-01-01T00:00:00Z")
        assert.equal("1970-01-01 00:00:00.000000", utc "1970-01-01T01:00:00+01")
    end)

    it("contract 1: what is no time is validation", function()
        for _, value in ipairs {
            "yesterday", "2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-01-00T00:00:00Z", "2023-01-01T24:00:00Z",
            "2023-01-01T00:60:00Z", "2023-01-01T00:00:00+2", "2023-01-01T00:00:0", "2023-01-01T00:00:00.",
            "2023-01-01T00:00:00Zulu", "2023-01-01", true, {}, 0 / 0, 1 / 0, -1 / 0, 1e300,
        } do
            local ok, err = pcall(date.format, "!%Y", value)
            assert.is_false(ok, tostring(value))
            assert.is_true(errors.is_error(err, "validation"), tostring(err))
        end
    end)

    it("orm.now is the core's clock, and the time of a date that names none", function()
        local core = package.loaded["heddle.core"]
        package.loaded["heddle.core"] = { now = function() return 12.25 end }
        local now, shown = date.now(), date.format "!%S.%f"
        package.loaded["heddle.core"] = core
        assert.equal(12.25, now)
        assert.equal("12.250000", shown)
    end)
end)
