-- Diagrams as text: Mermaid and DOT, from entities.

local orm = require "heddle"

local function open()
    local Team = orm.entity { name = "Team", comment = 'A "good" one',
        { "id", type = "integer", primary = true },
        { "name", type = "string", length = 20, unique = true, comment = 'as "said"\naloud' } }
    local User = orm.entity { name = "User", table = "odd users",
        { "id", type = "integer", primary = true },
        { "price", type = "decimal", precision = 10, scale = 2, column = "the-price" },
        { "team", many_to_one = "Team", nullable = true },
        { "boss", many_to_one = "User" },
        { "tags", many_to_many = "Tag" } }
    local Tag = orm.entity { name = "Tag", { "id", type = "integer", primary = true },
        { "owner", one_to_one = "User" } }
    return orm.init { driver = "postgres", database = "none", entities = { Team, User, Tag } }
end

describe("schema:diagram", function()
    after_each(function() orm.close() end)

    it("writes Mermaid, which is the format by default", function()
        assert.equal([[
erDiagram
  "odd users" {
    integer id PK
    numeric(10-2) the-price
    integer team_id FK "nullable"
    integer boss_id FK
  }
  "odd users_tags" {
    integer user_id PK, FK
    integer tag_id PK, FK
  }
  "tag" {
    integer id PK
    integer owner_id FK, UK
  }
  "team" {
    integer id PK
    varchar(20) name UK "as 'said' aloud"
  }
  "team" |o--o{ "odd users" : "team_id"
  "odd users" ||--o{ "odd users" : "boss_id"
  "odd users" ||--o{ "odd users_tags" : "user_id"
  "tag" ||--o{ "odd users_tags" : "tag_id"
  "odd users" ||--o| "tag" : "owner_id"
]], open().schema:diagram())
    end)

    it("writes DOT, names quoted and text escaped", function()
        local text = open().schema:diagram "dot"
        assert.truthy(text:find('"odd users":p3 -> "team":p1 [arrowtail=crowodot, arrowhead=teeodot', 1, true))
        assert.truthy(text:find('"tag":p2 -> "odd users":p1 [arrowtail=teeodot, arrowhead=teetee', 1, true))
        assert.truthy(text:find('port="p2">the-price</td>', 1, true))
        assert.truthy(text:find("<b>odd users</b> <i>User</i>", 1, true))
        assert.truthy(text:find "^digraph schema {\n.*}\n$")
    end)

    it("shows entities where a table has one, in SVG too", function()
        local text = open().schema:diagram "svg"
        assert.truthy(text:find(">User</text>", 1, true))
        assert.is_nil(text:find("User.tags", 1, true))
        assert.truthy(text:find([[<title>A &quot;good&quot; one</title>]], 1, true))
    end)

    it("an unknown format is validation and names the nearest", function()
        local ok, err = pcall(function() return open().schema:diagram "mermaids" end)
        assert.is_false(ok)
        assert.equal("validation", err.kind)
        assert.truthy(err.message:find("(did you mean 'mermaid'?)", 1, true))
    end)
end)
