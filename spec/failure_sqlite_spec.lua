-- F1 and F3 on SQLite: triggers that refuse, a COMMIT that finds a constraint broken, a full disk, a lock.

local databases = require "spec.support.databases"
local orm = require "heddle"
local shop = require "spec.support.bookshop"
local unit = require "spec.support.unit"

databases.on("sqlite", function(db)
    describe("a flush on a file fails", function()
        local work, raw

        before_each(function()
            work = unit.open(db, shop.entities, { options = { busy_timeout = 0.05 } })
            raw = work.raw
            shop.seed(raw)
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        -- The flush fails, the fault is mended, the second flush writes all, the third nothing.
        local function try(kind, mend, em, set)
            em = em or work:fork()
            set = set or shop.change(em)
            local before = shop.dump(set)
            local err = unit.raises(kind, em.flush, em)
            assert.equal("before", shop.state(raw))
            assert.same(before, shop.dump(set))
            unit.raises(kind, em.flush, em)
            assert.same(before, shop.dump(set))
            mend()
            em:flush()
            assert.equal("after", shop.state(raw))
            shop.agree(set, raw)
            work:forget()
            em:flush()
            assert.same({}, work.log)
            return err
        end

        for _, action in ipairs { "abort", "fail", "rollback" } do
            for _, table_name in ipairs { "authors", "books" } do
                for _, verb in ipairs { "insert", "update", "delete" } do
                    it(("F1: at %s of %s, by raise(%s)"):format(verb, table_name, action), function()
                        for _, time in ipairs { "before", "after" } do
                            shop.seed(raw)
                            raw:exec(("create trigger refuse %s %s on %s begin select raise(%s, 'no'); end"):format(
                                time, verb, table_name, action))
                            local err = try("driver", function() raw:exec "drop trigger refuse" end)
                            assert.is_string(err.sql)
                            assert.equal(table_name == "authors" and "Author" or "Book", err.entity)
                        end
                    end)
                end
            end
        end

        it("F3: by raise(abort) in an open transaction, which stays usable", function()
            local em = work:fork()
            em:begin()
            local set = shop.change(em)
            em:flush()
            local before = shop.dump(set)
            raw:exec "pragma wal_checkpoint"
            em:execute "create temp trigger refuse after update on books begin select raise(abort, 'no'); end"
            local gus = shop.Book { title = "Gus", author = shop.Author { name = "Fay" } }
            em:persist(gus)
            set[5][2].seen = false
            unit.raises("driver", em.flush, em)
            assert.is_nil(gus.id)
            assert.is_nil(gus.author.id)
            assert.is_nil(gus.author.label)
            set[5][2].seen = true
            assert.same(before, shop.dump(set))
            assert.equal(0, em:count(shop.Author, { name = "Fay" }, { flush_mode = "commit" }))
            assert.equal(1, em:count(shop.Author, { name = "Dot" }, { flush_mode = "commit" }))
            em:execute "drop trigger refuse"
            em:commit()
            assert.equal("1", raw:value "select count(*) from books where title = 'Gus'")
            assert.equal("5", raw:value "select count(*) from authors")
        end)

        it("F3: by raise(rollback) in an open transaction, which is over then, and says so", function()
            local em = work:fork()
            local set = shop.change(em)
            local before = shop.dump(set)
            em:begin()
            em:flush()
            em:execute "create temp trigger refuse after update on books begin select raise(rollback, 'no'); end"
            set[5][2].seen = false
            unit.raises("driver", em.flush, em)
            local err = unit.raises("connection", em.count, em, shop.Book, {}, { flush_mode = "commit" })
            assert.is_truthy(err.message:find("over", 1, true))
            assert.is_true(em:in_transaction())
            em:rollback()
            assert.equal("before", shop.state(raw))
            assert.same(before, shop.dump(set))
            em:flush()
            assert.equal("after", shop.state(raw))
        end)

        it("F1: at COMMIT, by a deferred foreign key", function()
            raw:exec [[create table receipts (id integer primary key, book integer
                references books (id) deferrable initially deferred)]]
            raw:exec "create trigger forge after insert on books begin insert into receipts (book) values (-99); end"
            local err = try("foreign_key_violation", function() raw:exec "drop trigger forge" end)
            assert.equal("COMMIT", err.sql)
            assert.equal("0", raw:value "select count(*) from receipts")
        end)

        it("F1: at COMMIT of a transaction, which is rolled back then", function()
            raw:exec [[create table receipts (id integer primary key, book integer
                references books (id) deferrable initially deferred)]]
            raw:exec "create trigger forge after insert on books begin insert into receipts (book) values (-99); end"
            local em = work:fork()
            local set = shop.change(em)
            local before = shop.dump(set)
            em:begin()
            unit.raises("foreign_key_violation", em.commit, em)
            assert.is_false(em:in_transaction())
            assert.equal("before", shop.state(raw))
            assert.same(before, shop.dump(set))
            raw:exec "drop trigger forge"
            em:flush()
            assert.equal("after", shop.state(raw))
        end)

        it("F1: on a full disk", function()
            local em = work:fork()
            local set = shop.change(em)
            em:execute(("pragma max_page_count = %d"):format(em:execute "pragma page_count"[1].page_count))
            set[8][2].data = { text = ("x"):rep(100000) }
            local err = try("driver", function()
                set[8][2].data = nil
            end, em, set)
            assert.is_truthy(err.cause:find("full", 1, true))
        end)

        it("F1: on a file that somebody else is writing", function()
            raw:exec "begin immediate"
            local em = work:fork()
            local set = shop.change(em)
            local before = shop.dump(set)
            unit.raises("lock_timeout", em.flush, em)
            assert.same(before, shop.dump(set))
            raw:exec "commit"
            em:flush()
            assert.equal("after", shop.state(raw))
            shop.agree(set, raw)
        end)

        it("F1: on a file that is gone or no database any more", function()
            orm.init { context_name = "broken", driver = "sqlite", database = "/no-such-directory/x.db",
                entities = shop.entities }
            local em = orm.em("broken"):fork()
            local dot = shop.Author { name = "Dot" }
            em:persist(dot)
            unit.raises("connection", em.flush, em)
            assert.is_nil(dot.id)
            assert.is_nil(dot.label)
            assert.is_true(em:contains(dot))
            orm.close "broken"
        end)
    end)
end)
