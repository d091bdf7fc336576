-- F5 and contract 6: what the database refuses comes as one kind of object that names entity, property and constraint,
-- in Heddle's own words, and holds no value that a program bound.

local databases = require "spec.support.databases"
local orm = require "heddle"
local unit = require "spec.support.unit"

local op = orm.op
local SECRET = "s3cr3t-Xy"

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string", unique = true },
    { "city", type = "string", column = "home_city", nullable = true },
    { "street", type = "string", nullable = true },
    uniques = { { "city", "street" } },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "email", type = "string", column = "mail", unique = true },
    { "note", type = "string", nullable = true },
    { "age", type = "integer", nullable = true, check = "age >= 0" },
    { "color", type = "enum", enum = { "red", "blue" }, nullable = true },
    { "price", type = "decimal", precision = 10, scale = 2, nullable = true },
    { "nick", type = "string", nullable = true, index = true },
    { "team", many_to_one = "Team", nullable = true },
    checks = { { "note <> 'bad'", name = "users_note_not_bad" } },
    uniques = { { "nick", name = "one_nick" } },
}
local Shelf = orm.entity { name = "Shelf", { "id", type = "integer", primary = true } }
local Item = orm.entity { name = "Item",
    { "id", type = "integer", primary = true },
    { "shelf", many_to_one = "Shelf", on_delete = "restrict", on_update = "restrict" },
}

databases.each(function(db)
    describe("an error of the database", function()
        local work, em, raw

        before_each(function()
            work = unit.open(db, { Team, User, Shelf, Item })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        -- Raises of one kind, one entity and property, without the secret in any word of Heddle's.
        local function check(kind, property, fn, ...)
            local err = unit.raises(kind, fn, ...)
            assert.is_nil(err.message:find(SECRET, 1, true), err.message)
            assert.is_nil(tostring(err):find(SECRET, 1, true), tostring(err))
            assert.is_nil((err.sql or ""):find(SECRET, 1, true), err.sql)
            if property ~= nil then
                assert.equal(property, err.entity .. "." .. tostring(err.property))
                assert.is_truthy(err.message:find(err.property, 1, true), err.message)
            end
            assert.equal("default", err.context)
            assert.is_truthy(err.where:match "^[%w_./]+_spec%.lua:%d+$" or err.where:match "unit%.lua:%d+$", err.where)
            assert.is_truthy(tostring(err):find(" at " .. err.where, 1, true))
            assert.is_true(orm.is_error(err))
            assert.equal(kind:find "_violation" ~= nil, orm.is_error(err, "constraint"))
            return err
        end

        local function flush_of(...)
            em:persist(...)
            return function() em:flush() end
        end

        it("F5: a unique violation names the property, whatever its column is called", function()
            em:persist_and_flush(User { email = SECRET })
            local err = check("unique_violation", "User.email", flush_of(User { email = SECRET }))
            assert.equal("users", err.table)
            assert.is_string(err.sql)
            if db.name == "postgres" then
                assert.equal("23505", err.sqlstate)
                assert.is_string(err.constraint)
                assert.is_truthy(err.detail:find(SECRET, 1, true)) -- the server's words may
            end
        end)

        it("F5: in a batch of many, and in a batch of many tables", function()
            em:persist_and_flush(Team { name = SECRET })
            for i = 1, 300 do em:persist(User { email = "u" .. i, team = Team { name = "t" .. i } }) end
            check("unique_violation", "Team.name", flush_of(Team { name = SECRET }))
            assert.equal("0", raw:value "select count(*) from users")
        end)

        it("F5: in an UPDATE of one row and of many", function()
            local list = {}
            for i = 1, 3 do
                list[i] = User { email = "u" .. i }
                em:persist(list[i])
            end
            em:flush()
            raw:exec(("insert into users (id, mail) values (99, '%s')"):format(SECRET))
            list[1].email = SECRET
            check("unique_violation", "User.email", em.flush, em)
            list[2].email = "other"
            check("unique_violation", "User.email", em.flush, em)
        end)

        it("F5: a unique key over several properties names the first, and the constraint", function()
            em:persist_and_flush(Team { name = "a", city = SECRET, street = "x" })
            local twin = Team { name = "b", city = SECRET, street = "x" }
            local err = check("unique_violation", "Team.city", flush_of(twin))
            assert.equal("teams_home_city_street_unique", err.constraint)
        end)

        it("F5: a unique key with a name of its own", function()
            em:persist_and_flush(User { email = "a", nick = SECRET })
            local err = check("unique_violation", "User.nick", flush_of(User { email = "b", nick = SECRET }))
            assert.equal("one_nick", err.constraint)
        end)

        it("F5: a primary key that is taken", function()
            raw:exec "insert into teams (id, name) values (5, 'raw')"
            check("unique_violation", "Team.id", flush_of(Team { id = 5, name = "mine" }))
        end)

        it("F5: a foreign key to nobody names the relation", function()
            local user = User { email = SECRET, team = em:get_reference(Team, 4711) }
            local err = check("foreign_key_violation", db.name == "postgres" and "User.team" or nil, flush_of(user))
            assert.equal("User", err.entity)
        end)

        it("F5: removing a row that others refer to", function()
            local user = em:persist_and_flush(User { email = SECRET, team = Team { name = "t" } })
            local team = user.team
            em:detach(user)
            em:remove(team)
            local err = check("foreign_key_violation", nil, em.flush, em)
            assert.is_string(err.entity)
            assert.equal("1", raw:value "select count(*) from teams")
        end)

        it("a row that others restrict is not removed, nor given another key, in whatever way", function()
            local shelf = em:persist_and_flush(Item { id = 1, shelf = Shelf { id = 1 } }).shelf
            check("foreign_key_violation", nil, em.execute, em, "update shelf set id = 2")
            check("foreign_key_violation", nil, em.delete_where, em, Shelf, { id = 1 })
            check("foreign_key_violation", nil, function() em:remove(shelf):flush() end)
            assert.equal("1", raw:value "select count(*) from shelf")
        end)

        it("F5: NOT NULL that only the database knows of", function()
            raw:exec(db.name == "postgres" and "alter table users alter column note set not null"
                or "create trigger strict before insert on users when new.note is null begin "
                .. "insert into users (id, mail) values (null, null); end")
            local property = db.name == "postgres" and "User.note" or "User.email"
            check("not_null_violation", property, flush_of(User { email = SECRET }))
        end)

        it("F5: a check names its property, one of the entity its constraint", function()
            local err = check("check_violation", "User.age", flush_of(User { email = SECRET, age = -5 }))
            assert.is_string(err.constraint)
            em:clear()
            err = check("check_violation", nil, flush_of(User { email = SECRET, note = "bad" }))
            assert.equal("User", err.entity)
            assert.equal("users_note_not_bad", err.constraint)
        end)

        it("F5: the same for writing without the unit of work, raw SQL and finds", function()
            em:persist_and_flush(User { email = SECRET, nick = SECRET })
            em:insert(User, { email = "b" })
            check("unique_violation", "User.email", em.insert, em, User, { email = SECRET })
            check("unique_violation", "User.email", em.insert_many, em, User, { { email = "c" }, { email = SECRET } })
            check("unique_violation", "User.email", em.update_where, em, User, { email = "b" }, { email = SECRET })
            check("check_violation", "User.age", em.update_where, em, User, { email = "b" }, { age = -1 })
            check("unique_violation", "User.email", em.execute, em, "insert into users (mail) values (?)", SECRET)
            check("foreign_key_violation", nil, em.execute, em, "update users set team_id = ?", 4711)
            check("syntax", nil, em.execute, em, "selec ?", SECRET)
            check("table_not_found", nil, em.execute, em, "select * from nowhere where x = ?", SECRET)
            assert.equal("2", raw:value "select count(*) from users")
        end)

        it("U4: values that cannot be stored are refused without being told", function()
            for name, value in pairs { age = SECRET, color = SECRET, price = SECRET } do
                em:clear()
                local err = unit.raises("validation", flush_of(User { email = "x", [name] = value }))
                assert.same({ "User", name }, { err.entity, err.property })
                assert.is_nil(tostring(err):find(SECRET, 1, true))
            end
            local err = unit.raises("validation", em.find, em, User, { age = SECRET })
            assert.is_nil(tostring(err):find(SECRET, 1, true))
            err = unit.raises("validation", em.find, em, User, { age = op.gt(SECRET) })
            assert.is_nil(tostring(err):find(SECRET, 1, true))
        end)

        it("F5: the logger sees kinds, not values", function()
            local seen = {}
            work.instance:on("query", function(entry) seen[#seen + 1] = entry end)
            em:persist_and_flush(User { email = SECRET })
            check("unique_violation", "User.email", flush_of(User { email = SECRET }))
            local kinds = 0
            for _, entry in ipairs(seen) do
                assert.is_nil(entry.sql:find(SECRET, 1, true))
                if entry.error then
                    kinds = kinds + 1
                    assert.equal("unique_violation", entry.error.kind)
                    assert.is_nil(tostring(entry.error.message):find(SECRET, 1, true))
                end
            end
            assert.equal(1, kinds)
        end)
    end)
end)
