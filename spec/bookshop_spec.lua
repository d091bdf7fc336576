-- examples/bookshop as its reader runs it. What it says is compared with what the database holds.
local databases = require "spec.support.databases"
local program = require "spec.support.example"

databases.each(function(db)
    describe("the bookshop", function()
        local config

        before_each(function() config = db:config() end)
        after_each(function() db:close() end)

        local function run()
            return program.run("bookshop/main.lua", program.variables("DB", config))
        end

        it("tells its story and leaves what it tells in the database", function()
            local output, status = run()
            assert.equal(0, status, output)
            program.assert_says(output, "3 books by Ann, tagged: loom, tool", "Looms, Heddles, Shuttles",
                "Ann: Weaves and writes.", "Heddles, Ann stands under Crafts > Weaving and is tagged tool", "6 queries",
                "not_loaded", "1 tag, by the database: string", "order 1 of ben@example.com: 2 lines",
                "after a line was removed: 1", "check_violation of Book.stock", "now 0 are left",
                "before: Weaving, Knitting", "after:  Knitting, Weaving", "wishes: Shuttles, Looms, Heddles",
                "categories left: 0; books without one: 3", "false: foreign_key_violation")
            local raw = db:raw(config)
            assert.same({ { "Heddles", "10" }, { "Looms", "8" }, { "Shuttles", "0" } },
                raw:rows "select title, stock from books order by title")
            assert.same({ { "1", "2" }, { "1", "10" } },
                raw:rows "select number, quantity from order_lines order by order_id, number")
            assert.same({ { "Shuttles" }, { "Looms" }, { "Heddles" } }, raw:rows
                "select b.title from customers_wishes w join books b on b.isbn = w.book_isbn order by w.id")
        end)

        it("can be run again", function()
            local first = run()
            local output, status = run()
            assert.equal(0, status, output)
            assert.equal(first, output)
        end)
    end)
end)
