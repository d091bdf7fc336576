-- schema:update on PostgreSQL where things hang together: keys, generated columns, identities, views, renames, schemas.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"

local raises = expect.raises

databases.on("postgres", function(db)
    describe("schema:update", function()
        local config, raw

        before_each(function()
            config = db:config {}
            raw = db:raw(config)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        local function schema(...)
            orm.close()
            config.entities = { ... }
            return orm.init(config).schema
        end

        -- Updates, is up to date then, and gives what was run.
        local function update(item, opts)
            local run = item:update(opts)
            assert.same({}, item:diff { safe = opts and opts.safe })
            return run
        end

        local function entity(name, ...)
            return orm.entity { name = name, ... }
        end

        local function team(key, ...)
            return entity("Team", { "id", type = key, primary = true }, ...)
        end

        local function user(...)
            return entity("User", { "id", type = "integer", primary = true },
                { "team", many_to_one = "Team", nullable = true }, ...)
        end

        it("M1: a key changes its type, with those who refer to it", function()
            update(schema(team "integer", user()))
            raw:exec "insert into team values (default), (default)"
            raw:exec "insert into \"user\" (team_id) values (1), (2), (null)"
            local run = update(schema(team "bigint", user()))
            -- Integers compare whatever their size: nothing is checked again.
            assert.not_matches("FOREIGN KEY", table.concat(run, "\n"))
            run = update(schema(entity("Team", { "id", type = "text", primary = true }), user()))
            assert.matches("FOREIGN KEY", table.concat(run, "\n"))
            assert.same({ { "1", "1" }, { "2", "2" }, { "3", false } },
                raw:rows "select id, team_id from \"user\" order by 1")
            assert.same("text", raw:value "select pg_typeof(team_id)::text from \"user\" limit 1")
            assert.is_false(pcall(raw.exec, raw, "insert into \"user\" (team_id) values ('x')"))
        end)

        it("M1: when a foreign key is checked changes without a look at the rows", function()
            update(schema(team "integer", user()))
            raw:exec "alter table \"user\" drop constraint user_team_id_foreign"
            raw:exec "alter table \"user\" add constraint theirs foreign key (team_id) references team"
            local function asked(deferrable)
                return schema(team "integer", entity("User", { "id", type = "integer", primary = true },
                    { "team", many_to_one = "Team", nullable = true, deferrable = deferrable }))
            end
            assert.same({
                [[ALTER TABLE "user" RENAME CONSTRAINT "theirs" TO "user_team_id_foreign"]],
                [[ALTER TABLE "user" ALTER CONSTRAINT "user_team_id_foreign" DEFERRABLE INITIALLY IMMEDIATE]],
            }, update(asked()))
            assert.same("t", raw:value "select condeferrable from pg_constraint where conname = 'user_team_id_foreign'")
            assert.same({ [[ALTER TABLE "user" ALTER CONSTRAINT "user_team_id_foreign" NOT DEFERRABLE]] },
                update(asked(false)))
            update(asked(nil))
        end)

        it("M1: another primary key, and a foreign key to it", function()
            local item = schema(team("integer", { "code", type = "text", default = "x" }), user())
            update(item)
            raw:exec "insert into team values (default, 'a')"
            raw:exec "insert into \"user\" (team_id) values (1)"
            item = schema(
                entity("Team", { "id", type = "integer" }, { "code", type = "text", primary = true, default = "x" }),
                entity("User", { "id", type = "integer", primary = true },
                    { "team_id", type = "integer", nullable = true },
                    { "group", many_to_one = "Team", nullable = true }))
            update(item, { safe = false })
            assert.same({ { "1", "a" } }, raw:rows "select * from team")
            assert.same({ { "1", "1", false } }, raw:rows "select * from \"user\"")
            raw:exec "update \"user\" set group_code = 'a'"
            assert.is_false(pcall(raw.exec, raw, "update \"user\" set group_code = 'b'"))
            update(schema(team("integer", { "code", type = "text", default = "x" }), user()), { safe = false })
            assert.same({ { "1", "a" } }, raw:rows "select * from team")
            assert.same("2", raw:value "insert into team default values returning id")
        end)

        it("M1: a generated key comes and goes, and never gives one that is there", function()
            local given = entity("Team", { "id", type = "integer", primary = true, autoincrement = false })
            update(schema(given))
            raw:exec "insert into team values (41)"
            update(schema(team "integer"))
            assert.same("42", raw:value "insert into team default values returning id")
            update(schema(given))
            assert.is_false(pcall(raw.exec, raw, "insert into team default values"))
            update(schema(team "bigint"))
            assert.same("43", raw:value "insert into team default values returning id")
        end)

        it("M1: serial is a generated key like another", function()
            raw:exec "create table team (id serial primary key)"
            local item = schema(team "integer")
            assert.same({}, item:diff())
            raw:exec "insert into team default values"
            update(schema(team "bigint"))
            assert.same("bigint", raw:value "select data_type from pg_sequences where sequencename = 'team_id_seq'")
            assert.same("2", raw:value "insert into team default values returning id")
            -- Said as a default it is the same.
            item = schema(entity("Team",
                { "id", type = "bigint", primary = true, default_sql = "nextval('team_id_seq')" }))
            assert.same({}, item:diff())
            update(schema(entity("Team", { "id", type = "bigint", primary = true, autoincrement = false })))
            assert.same("0", raw:value "select count(*) from pg_sequences")
            assert.same({ { "1" }, { "2" } }, raw:rows "select id from team order by 1")
        end)

        local function boxes(...)
            return orm.entity { name = "Box", indexes = { { "area desc" } }, checks = { "area >= 0" }, ... }
        end

        it("M1: generated columns: another expression, under a type that changes, with what is over them", function()
            local function box(type, expression)
                return boxes({ "id", type = "integer", primary = true }, { "side", type = type, default = 2 },
                    { "area", type = "bigint", generated = expression, unique = true, nullable = true })
            end
            update(schema(box("integer", "side * side")))
            raw:exec "insert into box (side) values (3), (4)"
            update(schema(box("integer", "side * side + 1")))
            assert.same({ { "10" }, { "17" } }, raw:rows "select area from box order by 1")
            update(schema(box("bigint", "side * side + 1")))
            assert.same({ { "10" }, { "17" } }, raw:rows "select area from box order by 1")
            assert.same("2", raw:value [[select count(*) from pg_indexes where tablename = 'box'
                and indexname in ('box_area_index', 'box_area_unique')]])
            -- What was computed stays when nothing computes it any more.
            local plain = boxes({ "id", type = "integer", primary = true }, { "side", type = "bigint", default = 2 },
                { "area", type = "bigint", unique = true, nullable = true })
            update(schema(plain))
            assert.same({ { "10" }, { "17" } }, raw:rows "select area from box order by 1")
            update(schema(box("bigint", "side * side + 1")))
            raw:exec "alter table box alter area drop expression"
            raw:exec "update box set area = 99 where side = 3"
            local item = schema(box("bigint", "side * side + 1"))
            raises("migration", function() item:update() end, "Box.area", "would be lost")
            assert.same({ { "17" }, { "99" } }, raw:rows "select area from box order by 1")
            update(item, { safe = false })
            assert.same({ { "10" }, { "17" } }, raw:rows "select area from box order by 1")
        end)

        it("M3: NOT NULL without a default is refused where there are rows, and only there", function()
            update(schema(team "integer"))
            local item = schema(team("integer", { "name", type = "text" }))
            update(item)
            raw:exec "insert into team (name) values ('a')"
            local more = schema(team("integer", { "name", type = "text" }, { "city", type = "text" }))
            local err = raises("migration", function() more:update() end, "Team.city", "which has rows", "default")
            assert.same({ "Team", "city", "default" }, { err.entity, err.property, err.context })
            raises("migration", function() more:diff() end, "Team.city")
            assert.same({ { "1", "a" } }, raw:rows "select * from team")
            update(schema(team("integer", { "name", type = "text", nullable = true })))
            raw:exec "insert into team default values"
            local required = schema(team("integer", { "name", type = "text" }))
            raises("migration", function() required:update() end, "Team.name", "have NULL")
            update(schema(team("integer", { "name", type = "text", default = "it's" },
                { "city", type = "text", default = "x" })))
            assert.same({ { "1", "a", "x" }, { "2", "it's", "x" } }, raw:rows "select * from team order by id")
        end)

        it("M1: tables that refer to each other come and go", function()
            local item = schema(
                entity("A", { "id", type = "integer", primary = true }, { "b", many_to_one = "B" }),
                entity("B", { "id", type = "integer", primary = true }, { "a", many_to_one = "A" },
                    { "self", many_to_one = "B", nullable = true }))
            update(item)
            update(schema(team "integer"), { safe = false })
            assert.same({ { "team" } }, raw:rows "select tablename from pg_tables where schemaname = 'public'")
        end)

        it("renames that are asked for keep rows, indexes, checks and who refers", function()
            update(schema(orm.entity { name = "Team", indexes = { { "name", where = "name <> ''" } },
                checks = { "length(name) < 9" }, { "id", type = "integer", primary = true },
                { "name", type = "string", length = 20, unique = true, default = "x" },
                { "long", type = "integer", generated = "length(name)", nullable = true } }, user()))
            raw:exec "insert into team (name) values ('a')"
            raw:exec "insert into \"user\" (team_id) values (1)"
            local item = schema(orm.entity { name = "Team", table = "crew",
                indexes = { { "title", where = "title <> ''" } },
                checks = { "length(title) < 9" }, { "id", type = "integer", primary = true },
                { "title", type = "string", length = 20, unique = true, default = "x" },
                { "long", type = "integer", generated = "length(title)", nullable = true } }, user())
            local run = update(item, { rename = { team = "crew", ["team.name"] = "title" } })
            for _, sql in ipairs(run) do assert.matches("RENAME", sql) end
            assert.same({ { "1", "a", "1" } }, raw:rows "select id, title, long from crew")
            assert.same({}, raw:rows [[select conname from pg_constraint where conname like 'team%']])
        end)

        it("views go and come again around what they are in the way of", function()
            local function view(sql)
                return orm.entity { name = "Seen", table = "seen", expression = sql,
                    { "id", type = "bigint", primary = true } }
            end
            local second = orm.entity { name = "Twice", table = "a_twice", expression = "select id * 2 as id from seen",
                { "id", type = "bigint", primary = true } }
            update(schema(team "integer", view "select id from team where id > 0", second))
            raw:exec "insert into team default values"
            raw:exec "grant select on seen to public"
            raw:exec "comment on view seen is 'it''s'"
            update(schema(team("bigint", { "name", type = "text", default = "x" }),
                view "select id from team where id > 0", second))
            assert.same({ { "2" } }, raw:rows "select * from a_twice")
            assert.same({ { "it's", "t" } }, raw:rows [[select obj_description('seen'::regclass),
                has_table_privilege('heddle_password', 'seen', 'select')]])
            update(schema(team("bigint", { "name", type = "text", default = "x" }), view "select * from team", second))
            assert.same({ { "1", "x" } }, raw:rows "select * from seen")
            update(schema(team("bigint", { "name", type = "text", default = "x" },
                { "city", type = "text", nullable = true }), view "select * from team", second))
            assert.same({ { "1", "x", false } }, raw:rows "select * from seen")
            update(schema(team "bigint"), { safe = false })
            assert.same({}, raw:rows "select 1 from pg_views where schemaname = 'public'")
        end)

        it("a view of somebody else's is not touched: the change is refused", function()
            update(schema(team("integer", { "name", type = "text" })))
            raw:exec "create schema elsewhere"
            raw:exec "create view elsewhere.theirs as select upper(name) from team"
            local item = schema(team("integer", { "name", type = "string", length = 9 }))
            raises("migration", function() item:update() end, "Team.name", "theirs")
            assert.same({ { "text" } }, raw:rows
                "select data_type from information_schema.columns where table_name = 'team' and column_name = 'name'")
            local other = schema(team "integer")
            raises("migration", function() other:update { safe = false } end, "Team.name", "theirs")
            local none = schema(orm.entity { name = "Else", { "id", type = "integer", primary = true } })
            raises("migration", function() none:update { safe = false } end, "theirs")
            assert.same("0", raw:value "select count(*) from elsewhere.theirs")
            -- Another column is free.
            update(schema(team("bigint", { "name", type = "text" })))
        end)
    end)
end)
