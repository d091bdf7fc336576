-- What is sold: authors with profiles, books, tags, and categories as a tree.
local orm = require("heddle")

local Author = orm.entity {
  name = "Author", table = "authors",
  { "id", type = "integer", primary = true },
  { "name", type = "string", length = 100, unique = true },
  { "profile", one_to_one = "Profile", mapped_by = "author", cascade = { "all" }, orphan_removal = true },
  { "books", one_to_many = "Book", mapped_by = "author", order_by = { "title" } },
}

-- Its key is the author's: there is one for each author at most, and none without.
local Profile = orm.entity {
  name = "Profile", table = "profiles",
  { "author", one_to_one = "Author", primary = true },
  { "about", type = "text" },
}

local Book = orm.entity {
  name = "Book", table = "books",
  { "isbn", type = "string", length = 13, primary = true },
  { "title", type = "string", length = 200 },
  { "price", type = "decimal", precision = 8, scale = 2, check = "price >= 0" },
  { "stock", type = "integer", default = 0, check = "stock >= 0" },
  { "author", many_to_one = "Author" },
  { "category", many_to_one = "Category", nullable = true, on_delete = "set null" },
  { "tags", many_to_many = "Tag", inversed_by = "books" },
  { "version", type = "integer", version = true },
}
function Book:label() return ("%s, %s"):format(self.title, self.author.name) end

local Tag = orm.entity {
  name = "Tag", table = "tags",
  { "id", type = "integer", primary = true },
  { "name", type = "string", length = 30, unique = true },
  { "books", many_to_many = "Book", mapped_by = "tags" },
}

-- A tree in one table. `position` says where a category stands among its siblings; no two stand in one place.
local Category = orm.entity {
  name = "Category", table = "categories",
  { "id", type = "integer", primary = true },
  { "name", type = "string", length = 50 },
  { "position", type = "integer" },
  { "parent", many_to_one = "Category", nullable = true },
  { "children", one_to_many = "Category", mapped_by = "parent", cascade = { "all" }, orphan_removal = true,
    order_by = { "position" } },
  uniques = { { "parent", "position" } },
}

return { Author, Profile, Book, Tag, Category }
