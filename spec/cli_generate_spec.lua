-- `heddle entities:generate`, `types` and `schema:diagram`, as their users run them.

local command = require "spec.support.command"
local databases = require "spec.support.databases"
local schemas = require "spec.support.schemas"

databases.each(function(db)
    local project, config

    before_each(function()
        project = command.project()
        config = schemas.make(db, "music")
        config.entities = { "src/entities/*.lua" }
        project:configure(config)
    end)

    after_each(function()
        project:remove()
        db:close()
    end)

    it("entities:generate writes entities over which schema:diff is empty", function()
        local out, err = project:expect(0, "entities:generate")
        assert.equal("", err)
        assert.truthy(out:find("written  src/entities/track.lua  (Track)", 1, true), out)
        assert.equal(14, #project:list "src/entities")
        out = project:expect(0, "schema:diff --unsafe --check")
        assert.equal("", out)
    end)

    it("entities:generate writes over nothing without --force", function()
        project:write("src/entities/track.lua", "return 'mine'")
        local _, err = project:expect(1, "entities:generate")
        assert.truthy(err:find("nothing was written: a file is there already (src/entities/track.lua). Give --force "
            .. "to write over it", 1, true), err)
        assert.equal("return 'mine'", project:read "src/entities/track.lua")
        assert.is_nil(project:read "src/entities/album.lua")
        project:expect(0, "entities:generate --force")
        assert.truthy(project:read "src/entities/track.lua":find("orm.entity", 1, true))
    end)

    it("entities:generate prints with --dry-run, takes tables, and says what it left", function()
        local out, err = project:expect(0, "entities:generate --dry-run --table Alb* --table long_tracks")
        assert.truthy(out:find("-- src/entities/album.lua\nlocal orm = require \"heddle\"\n", 1, true), out)
        assert.truthy(out:find("-- src/entities/long_track.lua\n", 1, true))
        assert.is_nil(out:find("artist.lua", 1, true))
        assert.truthy(err:find("warning: table 'Album': foreign key", 1, true), err)
        assert.is_nil(project:read "src/entities/album.lua")
        local _, refused = project:expect(1, "entities:generate --table nothing")
        assert.truthy(refused:find("no table to make an entity of", 1, true), refused)
        project:expect(0, "entities:generate --out other/place --table Genre")
        assert.same({ "genre.lua" }, project:list "other/place")
    end)

    it("types writes types/heddle.lua, a named file, or standard output", function()
        project:expect(0, "entities:generate")
        local out = project:expect(0, "types")
        assert.equal("written  types/heddle.lua\n", out)
        local text = project:read "types/heddle.lua"
        assert.truthy(text:find("---@field tracks heddle.Collection<Track>", 1, true))
        assert.equal(text, (project:expect(0, "types --out -")))
        project:expect(0, "types --out a/b.lua")
        assert.equal(text, project:read "a/b.lua")
    end)

    it("schema:diagram writes by the file's ending", function()
        project:expect(0, "entities:generate")
        assert.matches("^erDiagram\n", (project:expect(0, "schema:diagram")))
        project:expect(0, "schema:diagram --out docs/schema.svg")
        assert.matches("^<svg ", project:read "docs/schema.svg")
        project:expect(0, "schema:diagram --out schema.dot")
        assert.matches("^digraph", project:read "schema.dot")
        project:expect(0, "schema:diagram --out schema.md")
        assert.matches("^```mermaid\nerDiagram\n.*\n```\n$", project:read "schema.md")
        local _, err = project:expect(2, "schema:diagram --out schema.pdf")
        assert.truthy(err:find("Give --format mermaid, dot or svg", 1, true), err)
        _, err = project:expect(2, "schema:diagram --format svgg")
        assert.truthy(err:find("must be one of", 1, true), err)
    end)
end)
