-- O4: how often a flush waits for PostgreSQL, counted by a relay between them.

local databases = require "spec.support.databases"
local orm = require "heddle"
local relay = require "spec.support.relay"
local unit = require "spec.support.unit"

local Team = orm.entity { name = "Team", table = "teams",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
}
local User = orm.entity { name = "User", table = "users",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "age", type = "integer", nullable = true },
    { "team", many_to_one = "Team", nullable = true },
}
local Badge = orm.entity { name = "Badge", table = "badges",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    { "user", one_to_one = "User", owner = true },
}
local Code = orm.entity { name = "Code", table = "codes",
    { "code", type = "string", primary = true },
    { "note", type = "string", nullable = true },
}

databases.on("postgres", function(db)
    describe("round trips", function()
        local r, work, em, raw

        setup(function() r = relay.start() end)
        teardown(function() r:stop() end)

        before_each(function()
            r:reset()
            work = unit.open(db, { Team, User, Code, Badge }, { host = r.host, port = r.port })
            em, raw = work.em, work.raw
        end)
        after_each(function()
            work:close()
            db:close()
        end)

        -- Round trips of fn on a warm connection.
        local function turns(fn, ...)
            em:execute "select 1"
            r:reset()
            work:forget()
            fn(...)
            return r:turns()
        end

        local function flush() em:flush() end

        -- 1,000 new rows with server keys, 100 updates and 100 deletes over two tables.
        local function prepare_much()
            local teams, users = {}, {}
            for i = 1, 100 do teams[i] = Team { name = "t" .. i } end
            for i = 1, 100 do users[i] = User { name = "u" .. i, age = i, team = teams[1] } end
            for i = 1, 100 do em:persist(teams[i], users[i]) end
            em:flush()
            for i = 1, 50 do teams[i].name = "T" .. i end
            for i = 1, 50 do users[i].name, users[i].age = "U" .. i, i + 1000 end
            for i = 51, 100 do em:remove(teams[i], users[i]) end
            for i = 1, 500 do
                local team = Team { name = "new " .. i }
                em:persist(team, User { name = "new " .. i, team = team, age = i })
            end
        end

        local function check_much()
            assert.equal("550", raw:value "select count(*) from teams")
            assert.equal("550", raw:value "select count(*) from users")
            assert.equal("500", raw:value [[select count(*) from users u join teams t on t.id = u.team_id
                where u.name = t.name and u.name like 'new %']])
            assert.equal("50", raw:value "select count(*) from users where 'U' || (age - 1000) = name")
        end

        it("O4: 1,000 inserts with server keys, 100 updates, 100 deletes over two tables: at most three", function()
            prepare_much()
            local n = turns(flush)
            check_much()
            assert.is_true(n <= 3, n .. " round trips")
            assert.equal(2, n) -- keys, then body and commit: nobody listens in between
        end)

        it("O4: three tables of 1,000 new rows, each feeding the next, 100 updates, 100 deletes: three", function()
            local changed, removed = {}, {}
            for i = 1, 100 do
                changed[i], removed[i] = Team { name = "c" .. i }, Team { name = "r" .. i }
                em:persist(changed[i], removed[i])
            end
            em:flush()
            for i = 1, 100 do
                changed[i].name = "C" .. i
                em:remove(removed[i])
            end
            for i = 1, 1000 do
                local team = Team { name = "t" .. i }
                local user = User { name = "u" .. i, team = team }
                em:persist(Badge { user = user, name = "b" .. i })
            end
            assert.equal(2, turns(flush))
            assert.equal("1000", raw:value [[select count(*) from badges b join users u on u.id = b.user_id
                join teams t on t.id = u.team_id where substr(b.name, 2) = substr(t.name, 2)
                and substr(u.name, 2) = substr(t.name, 2)]])
            assert.same({ { "100", "0" } }, raw:rows [[select count(*) filter (where name like 'C%'),
                count(*) filter (where name like 'r%') from teams]])
            assert.is_true(work:writes() <= 5)
            -- The same again with somebody who has a word before the commit.
            work.instance:on("after_create", function() end)
            for i = 1, 1000 do
                em:persist(Badge { user = User { name = "v" .. i, team = Team { name = "w" .. i } }, name = "x" .. i })
            end
            for i = 1, 100 do changed[i].name = "D" .. i end
            assert.equal(3, turns(flush))
            assert.equal("2000", raw:value "select count(*) from badges")
        end)

        it("O4: rows that are parked, rings of rows and deferral cost no round trip", function()
            local badges = {}
            for i = 1, 50 do
                badges[i] = Badge { user = User { name = "u" .. i }, name = "b" .. i }
                em:persist(badges[i])
            end
            em:flush()
            local users = {}
            for i = 1, 50 do users[i] = badges[i].user end
            for i = 1, 50 do badges[i].user = users[i % 50 + 1] end
            assert.equal(1, turns(flush))
            assert.equal("50", raw:value "select count(*) from badges b join users u on u.id = b.user_id")
        end)

        it("O4: the same with somebody who listens before the commit: keys, body, commit", function()
            local seen = 0
            work.instance:on("after_create", function() seen = seen + 1 end)
            prepare_much()
            seen = 0
            assert.equal(3, turns(flush))
            assert.equal(1000, seen)
            check_much()
        end)

        it("O4: one new entity, one changed entity, one removed entity: one each", function()
            local user = User { name = "a" }
            assert.equal(1, turns(function() em:persist_and_flush(user) end))
            assert.equal(tostring(user.id), raw:value "select id from users where name = 'a'")
            user.name = "b"
            assert.equal(1, turns(function() em:persist_and_flush(user) end))
            assert.equal("b", raw:value "select name from users")
            assert.equal(1, turns(function() em:remove_and_flush(user) end))
            assert.equal("0", raw:value "select count(*) from users")
        end)

        it("O4: one single-row statement needs no BEGIN", function()
            local user = User { name = "a" }
            turns(function() em:persist_and_flush(user) end)
            assert.equal(1, #work.log)
            user.name = "b"
            turns(flush)
            assert.equal(1, #work.log)
        end)

        it("O4: nothing to do: none", function()
            local users = {}
            for i = 1, 10 do users[i] = User { name = "a" } end
            for _, user in ipairs(users) do em:persist(user) end
            em:flush()
            assert.equal(0, turns(flush))
            users[1].name = "b"
            users[1].name = "a"
            assert.equal(0, turns(flush))
        end)

        it("O4: keys are not asked for where nobody lacks one: one", function()
            local codes = {}
            for i = 1, 200 do codes[i] = Code { code = "c" .. i } end
            for _, code in ipairs(codes) do em:persist(code) end
            assert.equal(1, turns(flush))
            for _, code in ipairs(codes) do code.note = "x" end
            em:persist(Code { code = "d" })
            assert.equal(1, turns(flush))
            for i = 1, 100 do em:remove(codes[i]) end
            codes[101].note = "y"
            assert.equal(1, turns(flush))
            assert.same({ { "101", "1" } }, raw:rows
                "select count(*), count(*) filter (where note = 'y') from codes")
        end)

        it("O4: more statements are not more round trips", function()
            for i = 1, 3000 do em:persist(User { name = "n" .. i }) end
            assert.equal(2, turns(flush))
            assert.is_true(work:writes "INSERT INTO" >= 3)
            assert.equal("3000", raw:value "select count(*) from users")
        end)

        it("O4: in an open transaction the savepoint of a flush and its release travel along", function()
            local user = em:persist_and_flush(User { name = "a" })
            local n = turns(function()
                em:begin()
                user.name = "b"
                em:flush()                              -- BEGIN, SAVEPOINT, UPDATE
                user.name = "c"
                em:flush()                              -- RELEASE, SAVEPOINT, UPDATE
                em:commit()                             -- RELEASE, COMMIT
            end)
            assert.equal(3, n)
            assert.equal("c", raw:value "select name from users")
            assert.equal(0, turns(function()
                em:transactional(function() em:transactional(function() end) end)
            end))
            n = turns(function()
                em:transactional(function()
                    em:transactional(function() em:persist(User { name = "d" }, User { name = "e" }) end)
                end)
            end)
            assert.equal(3, n)                          -- keys, body, commit
            assert.equal("3", raw:value "select count(*) from users")
        end)

        it("O4: a failing flush in an open transaction costs one more, and the transaction goes on", function()
            em:persist_and_flush(Code { code = "taken" })
            local other = work:fork()
            local n = turns(function()
                other:begin()
                other:persist(Code { code = "taken" })
                unit.raises("unique_violation", other.flush, other)
            end)
            assert.equal(2, n)
            other:rollback()
        end)

        describe("keys that cannot be asked for", function()
            local limited

            before_each(function()
                raw:exec [[do $$ begin
                    if not exists (select from pg_roles where rolname = 'heddle_limited') then
                        create role heddle_limited login;
                    end if; end $$]]
                raw:exec "grant usage on schema public to heddle_limited"
                raw:exec "grant select, insert, update, delete on teams, users, codes to heddle_limited"
                local config = {}
                for key, value in pairs(work.config) do config[key] = value end
                config.context_name, config.user = "limited", "heddle_limited"
                limited = orm.init(config)
                em = orm.em("limited"):fork()
            end)
            after_each(function() limited:close() end)

            local function family(name)
                local team = Team { name = name }
                em:persist(User { name = name .. "1", team = team }, User { name = name .. "2", team = team })
                return team
            end

            local function check(name)
                assert.equal("2", raw:value(([[select count(*) from users u join teams t on t.id = u.team_id
                    where t.name = '%s']]):format(name)))
            end

            it("O4: a role without a right on the sequence writes all the same, a round trip for each level", function()
                family "a"
                em:flush() -- here Heddle finds out
                check "a"
                family "b"
                assert.is_true(turns(flush) <= 3)
                check "b"
                local codes = Code { code = "x" }
                assert.equal(1, turns(function() em:persist_and_flush(codes) end))
            end)

            it("O4: a trigger that chooses the keys has its way, and instances get them", function()
                raw:exec [[create function choose() returns trigger language plpgsql as
                    $$ begin new.id := 5000 + (select count(*) from teams); return new; end $$]]
                raw:exec "create trigger choose before insert on teams for each row execute function choose()"
                em = orm.em():fork()
                local a = family "a"
                em:flush()
                check "a"
                assert.equal(5000, a.id)
                local b, c = family "b", family "c"
                assert.is_true(turns(flush) <= 4)
                check "b"
                check "c"
                assert.same({ 5001, 5002 }, { b.id, c.id })
                assert.equal(a, em:find_one(Team, 5000))
                local d = Team { name = "d" }
                em:persist_and_flush(d)
                assert.equal(5003, d.id)
            end)

            it("O4: a sequence that nobody owns is found out, and each level waits", function()
                raw:exec "alter table teams alter column id drop identity if exists"
                raw:exec "create sequence lost_and_found start 700"
                raw:exec "alter table teams alter column id set default nextval('lost_and_found')"
                em = orm.em():fork()
                local a = family "a"
                em:flush()
                check "a"
                assert.equal(700, a.id)
                family "b"
                assert.is_true(turns(flush) <= 4)
                check "b"
            end)
        end)
    end)
end)
