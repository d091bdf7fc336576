local placeholders = require "heddle.placeholders"

describe("placeholders", function()
    local function both(sql, postgres, sqlite, count)
        local text, n = placeholders.rewrite(sql, "postgres")
        assert.same({ postgres, count }, { text, n })
        text, n = placeholders.rewrite(sql, "sqlite")
        assert.same({ sqlite, count }, { text, n })
    end

    -- The same on both drivers, and no placeholder in it but the one at its end.
    local function untouched(sql)
        both(sql .. " ?", sql .. " $1", sql .. " ?1", 1)
    end

    it("are numbered in order", function()
        both("a = ? and b = ?", "a = $1 and b = $2", "a = ?1 and b = ?2", 2)
        both("select 1", "select 1", "select 1", 0)
        both("", "", "", 0)
        both("?", "$1", "?1", 1)
        both("(?,?)", "($1,$2)", "(?1,?2)", 2)
    end)

    it("begin with the number asked for", function()
        assert.same({ "a = $4 or b = $5", 2 }, { placeholders.rewrite("a = ? or b = ?", "postgres", 4) })
        assert.same({ "a = ?4", 1 }, { placeholders.rewrite("a = ?", "sqlite", 4) })
    end)

    it("?? is a literal ?", function()
        both("j ?? 'a'", "j ? 'a'", "j ? 'a'", 0)
        both("j ??| array(?)", "j ?| array($1)", "j ?| array(?1)", 1)
        both("a ??? b", "a ?$1 b", "a ??1 b", 1)
    end)

    it("are not looked for in strings", function()
        untouched "x = '?'"
        untouched "x = 'it''s ?'"
        untouched "x = '' or y = '?'"
        untouched "x = '-- ?' and z = '/*'"
        untouched [[x = '\' and y = '?' and z = '']]
    end)

    it("are not looked for in quoted names", function()
        untouched [["a?"."b""?" =]]
        assert.equal("`a?` = ?1 and [b?] = ?2", (placeholders.rewrite("`a?` = ? and [b?] = ?", "sqlite")))
        assert.equal("a[$1] = $2", (placeholders.rewrite("a[?] = ?", "postgres")))
    end)

    it("are not looked for in comments", function()
        untouched "select 1 -- what? 'who\n"
        untouched "select 1 /* what? ' */"
        untouched "a - b / c * d -"
        assert.equal("/* /* ? */ ? */ $1", (placeholders.rewrite("/* /* ? */ ? */ ?", "postgres")))
        assert.equal("/* /* ? */ ?1", (placeholders.rewrite("/* /* ? */ ?", "sqlite")))
    end)

    it("are not looked for in PostgreSQL's dollar quotes and escape strings", function()
        local function postgres(sql) return (placeholders.rewrite(sql, "postgres")) end
        assert.equal("$$ ? ' $$ $1", postgres "$$ ? ' $$ ?")
        assert.equal("$tag$ ? $$ ? $tag$ $1", postgres "$tag$ ? $$ ? $tag$ ?")
        assert.equal("a$b$ $1 c$b$", postgres "a$b$ ? c$b$")
        assert.equal([[E'\'?' $1]], postgres [[E'\'?' ?]])
        assert.equal([[e'a''?\\' $1]], postgres [[e'a''?\\' ?]])
        assert.equal([[like'\' $1 '']], postgres [[like'\' ? '']])
        assert.equal("$$ ?1 $$", (placeholders.rewrite("$$ ? $$", "sqlite")))
    end)

    it("leave what is never closed to the database", function()
        for _, sql in ipairs { "'?", '"?', "/*?", "--?", "$$?", "E'?", "E'\\" } do
            assert.same({ sql, 0 }, { placeholders.rewrite(sql, "postgres") })
        end
    end)
end)
