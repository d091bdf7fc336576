-- Entities of schemas that others made: a diff right after is empty, and rows go through them.

local databases = require "spec.support.databases"
local generate = require "heddle.generate"
local orm = require "heddle"
local schemas = require "spec.support.schemas"

local function property(entity, name)
    local prop = orm.metadata(entity).by_name[name]
    assert(prop, "no property " .. name)
    return prop
end

databases.each(function(db)
    local is_postgres = db.name == "postgres"

    after_each(function()
        orm.close()
        db:close()
    end)

    for _, name in ipairs(schemas.names) do
        it("M1: a diff right after entities:generate is empty, safe or not: " .. name, function()
            local instance, _, files, notes = schemas.open(db, name)
            assert.same({}, notes)
            assert.is_true(#files >= 12)
            local safe = instance.schema:diff()
            assert.equal("", table.concat(safe, ";\n"))
            assert.same({}, safe.left_out)
            assert.equal("", table.concat(instance.schema:diff { safe = false, drop_tables = true }, ";\n"))
        end)
    end

    it("the entities say everything: what the database loses is missed, what it gains is seen", function()
        local instance = schemas.open(db, "music")
        for statement, wanted in pairs {
            ["DROP INDEX invoice_open"] = "CREATE INDEX \"invoice_open\"",
            ["DROP INDEX \"IFK_PlaylistTrackTrackId\""] = "CREATE INDEX \"IFK_PlaylistTrackTrackId\"",
            ["DROP VIEW long_tracks"] = "CREATE VIEW \"long_tracks\"",
        } do
            db:raw():exec(statement)
            local told = table.concat(instance.schema:diff(), "\n")
            assert.truthy(told:find(wanted, 1, true), statement .. ": " .. told)
        end
        db:raw():exec "ALTER TABLE \"Artist\" ADD COLUMN extra integer"
        assert.truthy(instance.schema:diff().left_out[1]:find("column 'extra'", 1, true))
        assert.is_true(#instance.schema:diff { safe = false } > 0)
    end)

    it("a schema that is made of the entities is the one that they were made of", function()
        local instance = schemas.open(db, "music")
        local entities = instance.classes
        orm.close()
        instance = orm.init(db:config { entities = entities })
        if is_postgres then -- types of the database's own are not Heddle's to make
            db:raw():exec "CREATE TYPE media_kind AS ENUM ('audio', 'video', 'it''s both')"
            db:raw():exec "CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE >= 0)"
        end
        instance.schema:create()
        assert.equal("", table.concat(instance.schema:diff { safe = false }, ";\n"))
        assert.equal("15", db:raw():value(is_postgres
            and "select count(*) from pg_tables where schemaname = current_schema()"
            or "select count(*) from sqlite_master where type = 'table' and name not like 'sqlite_%'"))
    end)

    it("recognises relations of every kind", function()
        local _, e = schemas.open(db, "music")
        assert.equal("many_to_many", property(e.Playlist, "tracks").kind)
        assert.equal("tracks", property(e.Track, "playlists").mapped_by)
        assert.is_nil(e.PlaylistTrack)
        assert.equal("many_to_many", property(e.Artist, "similar_artists").kind)
        assert.equal("many_to_one", property(e.TrackCredit, "track").kind)
        assert.is_true(property(e.TrackCredit, "track").primary)
        assert.equal("one_to_one", property(e.Office, "head").kind)
        assert.equal("one_to_one", property(e.Refund, "invoice_line").kind)
        assert.same({ "invoice_id", "line" }, property(e.Refund, "invoice_line").join_column)
        assert.equal("children", orm.metadata(e.Genre).by_name.children.name)
        assert.equal("parent", property(e.Genre, "children").mapped_by)
        local labelled = is_postgres and property(e.Invoice, "state") or property(e.MediaType, "kind")
        assert.same(is_postgres and { "open", "paid", "can't" } or { "audio", "video", "it's both" }, labelled.enum)
        assert.equal("odd name-1", property(e.Playlist, "odd_name_1").column)
    end)

    it("relations of one pair of tables have names of their own", function()
        local _, e = schemas.open(db, "film")
        assert.equal("language", property(e.Language, "films").mapped_by)
        assert.equal("original_language", property(e.Language, "original_language_films").mapped_by)
        assert.equal("sequel_of", property(e.Film, "films").mapped_by)
        assert.equal("one_to_one", property(e.Store, "manager_staff").kind)
    end)

    it("rows are written and read through them", function()
        local instance, e = schemas.open(db, "music")
        local em = instance.em:fork()
        local artist = em:create(e.Artist, { artist_id = 7, name = "Ann" })
        local album = em:create(e.Album, { title = "Looms", artist = artist, released = "2026-01-31" })
        local media = em:create(e.MediaType, { kind = "video" })
        local track = em:create(e.Track, { name = "One", album = album, media_type = media, milliseconds = 700000,
            unit_price = is_postgres and "0.99" or 0.99 })
        local list = em:create(e.Playlist, { name = "All", ["end"] = "10:00:00" })
        list.tracks:add(track)
        artist.similar_artists:add(em:create(e.Artist, { artist_id = 8 }))
        local credit = em:create(e.TrackCredit, { track = track, artist = artist })
        local boss = em:create(e.Employee, { last_name = "Li", first_name = "Bo" })
        local hand = em:create(e.Employee, { last_name = "O'Hara", first_name = "Al", reports_to = boss })
        boss.office = em:create(e.Office, { city = "Łódź", head = hand })
        local customer = em:create(e.Customer, { first_name = "Cy", email = "c@x", support_rep = hand })
        local invoice = em:create(e.Invoice, { customer = customer, invoice_date = is_postgres and 1769846400
            or "2026-01-31 08:00:00", state = "can't" })
        local line = em:create(e.InvoiceLine, { invoice = invoice, line = 1, track = track,
            unit_price = is_postgres and "2.50" or 2.5 })
        local refund = em:create(e.Refund, { invoice_line = line, reason = "" })
        em:persist(list, credit, boss, refund):flush()

        local raw = db:raw()
        assert.same({ { "Looms", "7" } }, raw:rows 'select "Title", "ArtistId" from "Album"')
        assert.same({ { "7", "8" } }, raw:rows "select artist_id, similar_id from similar_artists")
        assert.equal("1", raw:value 'select count(*) from "PlaylistTrack"')
        assert.equal("singer", raw:value "select role from track_credits")
        assert.equal("Al O'Hara", raw:value 'select "FullName" from "Employee" where "ReportsTo" is not null')
        assert.equal("1", raw:value "select line from refund")

        em:clear()
        local read = em:find_one(e.Playlist, { name = "All" }, { populate = { "tracks.album.artist" } })
        assert.equal("Ann", read.tracks[1].album.artist.name)
        assert.equal(-1, read.order)
        local bill = em:find_one(e.Invoice, { state = "can't" }, { populate = { "invoice_lines.refund", "customer" } })
        assert.equal("", bill.invoice_lines[1].refund.reason)
        assert.is_true(bill.customer.active)
        assert.equal(1, bill.invoice_lines[1].quantity)
        local views = em:find_all(e.LongTrack)
        assert.equal("One", views[1].name)
        bill.state = "open"
        em:flush()
        assert.equal("open", raw:value 'select state from "Invoice"')
    end)

    it("U3: values of every type go through them, those of no type of Heddle's as the database writes them", function()
        local instance, e = schemas.open(db, "film")
        local em = instance.em:fork()
        local values = is_postgres and {
            Film = { release_year = 1999, rating = "NC-17", fulltext = "'cat':1 'dog':2", length = 90,
                special_features = { "a", "b" }, rental_rate = "2.50" },
            Address = { place = "(1,2)", ip = "10.0.0.1" }, Country = { iso = "x" },
            Staff = { picture = "\0\255", salary = "1.10",
                shift = '["2026-01-01 00:00:00+00","2026-01-02 00:00:00+00")' },
            Customer = { last_update = 1769846400.25, create_date = "2024-02-29" },
            Category = {}, Language = {},
        } or {
            Film = { release_year = "1999", rating = "NC-17", rental_rate = 2.5, length = 90, description = "it's",
                last_update = "2026-01-31" },
            Address = { position = 1.5 }, Country = {}, Staff = { picture = "\0\255", active = 1 },
            Customer = { create_date = "2026-01-31 08:00:00" }, Category = {}, Language = {},
        }
        local function make(name, data)
            for key, value in pairs(values[name]) do data[key] = value end
            return em:create(e[name], data)
        end
        local film = make("Film", { title = "x", language = make("Language", { name = "de" }) })
        local address = make("Address", { address = "a", city = em:create(e.City, { city = "c",
            country = make("Country", { country = "Polska" }) }) })
        local staff = make("Staff", { first_name = "S", address = address, username = is_postgres and "s" or nil })
        local store = em:create(e.Store, { manager_staff = staff, address = address })
        staff.store = store
        local customer = make("Customer", { first_name = "C", address = address, store = store })
        film.categories:add(make("Category", { name = "n" }))
        em:persist(film, customer):flush()
        em:clear()
        for name, given in pairs(values) do
            local read = em:find_all(e[name])[1]
            for key, value in pairs(given) do assert.same(value, read[key], name .. "." .. key) end
        end
        assert.equal("1", db:raw():value "select count(*) from film_category")
        local changed = em:find_all(e.Customer)[1]
        assert.same({}, em:changes())
        if is_postgres then
            changed.last_update, changed.notes = "2026-01-31T08:00:00", '{"a": [1]}'
            em:flush()
            assert.equal("2026-01-31 08:00:00", db:raw():value "select last_update::text from customer")
            em:clear()
            assert.equal(1, em:find_all(e.Customer)[1].notes.a[1])
            assert.equal("t", db:raw():value "select fulltext @@ 'dog' from film")
            assert.equal("t", db:raw():value "select shift @> '2026-01-01 12:00+00'::timestamptz from crew.staff")
        end
    end)

    it("writes only the tables that are asked for", function()
        local config = schemas.make(db, "film")
        local function names(opts)
            local list = {}
            for i, file in ipairs((schemas.files(config, opts))) do list[i] = file.name end
            table.sort(list)
            return table.concat(list, " ")
        end
        assert.equal("film.lua film_actor.lua", names { tables = { "film*" }, exclude = { "film_category" } })
        local _, notes = schemas.files(config, { tables = { "film" } })
        assert.truthy(table.concat(notes, "\n"):find("becomes no relation: the table that it refers to is not among", 1,
            true))
        local ok, err = pcall(names, { tables = { "nothing" } })
        assert.is_false(ok)
        assert.equal("config", err.kind)
    end)

    it("a file loads under its name and says one line for each property", function()
        local config = schemas.make(db, "film")
        for _, file in ipairs((schemas.files(config))) do
            for line in file.text:gmatch "[^\n]+" do assert.is_true(#line <= 160, line) end
            assert.truthy(file.text:find('^local orm = require "heddle"\n\n%-%-%-@class '))
            assert.truthy(file.text:find("\nreturn " .. file.entity .. "\n$"))
        end
        assert.is_function(generate.files)
    end)
end)
