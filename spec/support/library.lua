--- Relations of every kind, with rows, for specs that read them.
--
--     local library = require "spec.support.library"
--     local work = library.open(db)               -- unit.open with these entities, and their rows
--     local work = library.open(db, { Team })     -- with others before them
--     library.names(author.books)                 -- "A2 A1": members as text, in their order

local orm = require "heddle"
local unit = require "spec.support.unit"

local library = {}

local id = { "id", type = "integer", primary = true }

library.Author = orm.entity {
    name = "Author", table = "authors", id, { "name", type = "string" },
    { "books", one_to_many = "Book", mapped_by = "author", order_by = { "title desc" } },
    { "edited", one_to_many = "Book", mapped_by = "editor" },
    { "profile", one_to_one = "Profile", mapped_by = "author" },
    { "friends", many_to_many = "Author" },
    { "fans", many_to_many = "Author", mapped_by = "friends" },
}
library.Book = orm.entity {
    name = "Book", table = "books", id, { "title", type = "string" },
    { "text", type = "text", lazy = true, nullable = true },
    { "author", many_to_one = "Author", nullable = true },
    { "editor", many_to_one = "Author", nullable = true },
    { "tags", many_to_many = "Tag" },
}
library.Tag = orm.entity {
    name = "Tag", table = "tags", { "name", type = "string", primary = true }, { "weight", type = "integer" },
    { "books", many_to_many = "Book", mapped_by = "tags", order_by = { "author.name desc nulls last", "title" } },
}
library.Profile = orm.entity {
    name = "Profile", table = "profiles", { "author", one_to_one = "Author", primary = true },
    { "site", type = "string" },
}
-- Composite keys on both sides, and an order of its own.
library.Track = orm.entity {
    name = "Track", table = "tracks", { "disc", type = "string", primary = true },
    { "no", type = "integer", primary = true },
    { "lists", many_to_many = "Playlist", mapped_by = "tracks" },
}
library.Playlist = orm.entity {
    name = "Playlist", table = "playlists", { "owner", type = "string", primary = true },
    { "name", type = "string", primary = true },
    { "tracks", many_to_many = "Track", fixed_order = true },
}
-- A pivot that is an entity.
library.Student = orm.entity {
    name = "Student", table = "students", id, { "name", type = "string" },
    { "courses", many_to_many = "Course", pivot_entity = "Enrolment" },
    { "enrolments", one_to_many = "Enrolment", mapped_by = "student" },
}
library.Course = orm.entity {
    name = "Course", table = "courses", id, { "name", type = "string" },
    { "students", many_to_many = "Student", mapped_by = "courses" },
}
library.Enrolment = orm.entity {
    name = "Enrolment", table = "enrolments",
    { "student", many_to_one = "Student", primary = true, on_delete = "cascade" },
    { "course", many_to_one = "Course", primary = true, on_delete = "cascade" },
    { "grade", type = "integer", default = 3 },
    { "at", type = "string", on_create = function() return "now" end },
    { "version", type = "integer", version = true },
}

library.entities = { library.Author, library.Book, library.Tag, library.Profile, library.Track, library.Playlist,
    library.Student, library.Course, library.Enrolment }

local rows = {
    "insert into authors (id, name) values (1, 'Ann'), (2, 'Ben'), (3, 'Cid')",
    [[insert into books (id, title, author_id, editor_id, text) values (1, 'A1', 1, 2, 'long'), (2, 'A2', 1, 2, null),
        (3, 'B', 2, 1, null), (4, 'none', null, null, null)]],
    "insert into tags (name, weight) values ('lua', 2), ('c', 1), ('sql', 3)",
    "insert into books_tags (book_id, tag_name) values (1, 'lua'), (1, 'c'), (2, 'lua'), (3, 'lua'), (4, 'sql')",
    "insert into profiles (author_id, site) values (1, 'ann.example'), (3, 'cid.example')",
    "insert into authors_friends (author_1_id, author_2_id) values (1, 2), (1, 3), (2, 1)",
    "insert into tracks (disc, no) values ('x', 1), ('x', 2), ('y', 1)",
    "insert into playlists (owner, name) values ('ann', 'a'), ('ann', 'b')",
    [[insert into playlists_tracks (playlist_owner, playlist_name, track_disc, track_no) values
        ('ann', 'a', 'y', 1), ('ann', 'b', 'x', 1), ('ann', 'a', 'x', 1), ('ann', 'b', 'y', 1), ('ann', 'a', 'x', 2)]],
    "insert into students (id, name) values (1, 'Sue'), (2, 'Tom')",
    "insert into courses (id, name) values (1, 'Lua'), (2, 'C')",
    [[insert into enrolments (student_id, course_id, grade, at, version) values (1, 1, 5, 'then', 4),
        (1, 2, 4, 'then', 1), (2, 1, 2, 'then', 2)]],
}

--- Fills the tables; what a spec adds gets keys from 100 on.
function library.seed(work)
    for _, sql in ipairs(rows) do work.raw:exec(sql) end
    for _, name in ipairs { "authors", "books", "students", "courses" } do
        local sql = work.db.name == "sqlite" and "update sqlite_sequence set seq = 99 where name = '%s'"
            or "alter table %s alter column id restart with 100"
        work.raw:exec(sql:format(name))
    end
end

local function name_of(e)
    if orm.metadata(library.Track) == getmetatable(e).definition then return e.disc .. e.no end
    return getmetatable(e).definition.name == "Book" and e.title or e.name
end

--- A context on a fresh database with these entities and their rows.
---@param more? table[] entities that stand before them
function library.open(db, more)
    local entities = {}
    for _, list in ipairs { more or {}, library.entities } do
        for _, entity in ipairs(list) do entities[#entities + 1] = entity end
    end
    local work = unit.open(db, entities)
    library.seed(work)
    return work
end

--- Members of a collection, or of a list, as text.
function library.names(members)
    local list = {}
    for i, e in ipairs(type(members) == "table" and members or members:items()) do list[i] = name_of(e) end
    return table.concat(list, " ")
end

return library
