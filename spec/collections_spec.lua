-- Collections in memory and what a flush makes of them: both sides of every relation, before anything is read.
local databases = require("spec.support.databases")
local orm = require("heddle")

local Author = orm.entity {
  name = "CollAuthor", table = "coll_authors",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "books", one_to_many = "CollBook", mapped_by = "author" },
  { "profile", one_to_one = "CollProfile", mapped_by = "author" },
}
local Book = orm.entity {
  name = "CollBook", table = "coll_books",
  { "id", type = "integer", primary = true },
  { "title", type = "string" },
  { "author", many_to_one = "CollAuthor", nullable = true },
  { "tags", many_to_many = "CollTag", inversed_by = "books" },
  { "similar", many_to_many = "CollBook" },
  { "chapters", one_to_many = "CollChapter", mapped_by = "book", cascade = { "all" }, orphan_removal = true },
}
local Chapter = orm.entity {
  name = "CollChapter", table = "coll_chapters",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "book", many_to_one = "CollBook" },
}
local Tag = orm.entity {
  name = "CollTag", table = "coll_tags",
  { "id", type = "integer", primary = true },
  { "name", type = "string", unique = true },
  { "books", many_to_many = "CollBook", mapped_by = "tags" },
}
local Profile = orm.entity {
  name = "CollProfile", table = "coll_profiles",
  { "id", type = "integer", primary = true },
  { "text", type = "string" },
  { "author", one_to_one = "CollAuthor", nullable = true },
}

databases.each(function(db)
  describe("collections", function()
    local instance, em, raw

    before_each(function()
      instance = orm.init(db:config { context_name = "coll", entities = { Author, Book, Chapter, Tag, Profile } })
      instance.schema:create()
      em = orm.em("coll"):fork()
      raw = db:raw(instance.config)
    end)

    after_each(function()
      orm.close()
      db:close()
    end)

    local function pairs_of()
      local list = {}
      for _, row in ipairs(raw:rows("select coll_book_id, coll_tag_id from coll_books_tags")) do
        list[#list + 1] = table.concat(row, "-")
      end
      table.sort(list)
      return table.concat(list, " ")
    end

    local function statements(fn)
      local list = {}
      local off = instance:on("query", function(q) list[#list + 1] = q.sql end)
      fn()
      if off then off() end
      return list
    end

    it("O1: a graph is written from any side", function()
      local author = em:create(Author, { name = "A" })
      local book = Book { title = "x" }
      author.books:add(book, Book { title = "y" })
      book.tags:add(Tag { name = "t" })
      author.profile = Profile { text = "p" }
      assert.equal(author, book.author)
      assert.equal(author, author.profile.author)
      em:persist(author):flush()
      assert.equal("1-1", pairs_of())
      local id = tostring(author.id)
      assert.same({ { id, "x" }, { id, "y" } },
        raw:rows("select author_id, title from coll_books order by title"))
      assert.same({ { id } }, raw:rows("select author_id from coll_profiles"))
      assert.same({}, statements(function() em:flush() end))
    end)

    it("both sides follow an assignment, and a collection is the same object each time", function()
      local a1, a2, book = Author { name = "1" }, Author { name = "2" }, Book { title = "b" }
      book.author = a1
      assert.equal(a1.books, a1.books)
      assert.equal(book, a1.books[1])
      a2.books:add(book)
      assert.equal(a2, book.author)
      assert.equal(0, #a1.books)
      a2.books:remove(book)
      assert.is_nil(book.author)
      a2.books = { book }
      assert.equal(a2, book.author)
      a2.books:remove_all()
      assert.is_nil(book.author)
      assert.equal("userdata", type(a1.books))
    end)

    it("what is not loaded says so, and takes members all the same", function()
      local stored = em:create(Book, { title = "b" })
      em:persist(stored):flush()
      local tag = em:create(Tag, { name = "t" })
      em:persist(tag):flush()
      local other = em:fork()
      local book, t = other:find_one(Book, stored.id), other:find_one(Tag, tag.id)
      for _, read in ipairs {
        function() return #book.tags end, function() return book.tags[1] end, function() return book.tags:items() end,
        function() return book.tags:count() end, function() return book.tags:iter() end,
        function() return book.tags:contains(t) end,
      } do
        local ok, err = pcall(read)
        assert.is_false(ok)
        assert.is_true(orm.is_error(err, "not_loaded"))
      end
      assert.is_false(book.tags:is_initialized())
      book.tags:add(t)
      assert.is_true(book.tags:is_dirty())
      assert.is_true(book.tags:contains(t))
      other:flush()
      assert.equal("1-1", pairs_of())
      assert.is_false(book.tags:is_dirty())
      book.tags:add(t)
      other:flush()
      assert.equal("1-1", pairs_of())
      book.tags:remove(t)
      other:flush()
      assert.equal("", pairs_of())
      t.books:add(book)
      other:flush()
      assert.equal("1-1", pairs_of())
      t.books:remove(book)
      other:flush()
      assert.equal("", pairs_of())
    end)

    it("a relation to itself has two sides of one table", function()
      local a, b, c = Book { title = "a" }, Book { title = "b" }, Book { title = "c" }
      a.similar:add(b, c)
      em:persist(a):flush()
      assert.equal(2, #raw:rows("select * from coll_books_similar where coll_book_1_id = " .. a.id))
      a.similar:remove(b)
      em:flush()
      assert.same({ { tostring(c.id) } }, raw:rows("select coll_book_2_id from coll_books_similar"))
    end)

    it("orphans are deleted, those that found another parent are not", function()
      local b1, b2 = Book { title = "1" }, Book { title = "2" }
      local c1, c2, c3 = Chapter { name = "1" }, Chapter { name = "2" }, Chapter { name = "3" }
      b1.chapters:add(c1, c2, c3)
      em:persist(b1, b2):flush()
      b1.chapters:remove(c1)
      b2.chapters:add(c2)
      em:flush()
      assert.same({ { "2", tostring(b2.id) }, { "3", tostring(b1.id) } },
        raw:rows("select name, book_id from coll_chapters order by name"))
      assert.is_false(em:contains(c1))
      c2.book = nil
      em:flush()
      assert.equal(1, #raw:rows("select * from coll_chapters"))
    end)

    it("a removing cascade takes along what was never read", function()
      local book = Book { title = "1" }
      for i = 1, 3 do book.chapters:add(Chapter { name = tostring(i) }) end
      em:persist(book):flush()
      local other = em:fork()
      other:remove(other:find_one(Book, book.id)):flush()
      assert.equal(0, #raw:rows("select * from coll_chapters"))
      assert.equal(0, #raw:rows("select * from coll_books"))
    end)

    it("a removed new row is not brought back by those who held it", function()
      local author = em:create(Author, { name = "A" })
      em:persist(author):flush()
      local book = Book { title = "x" }
      author.books:add(book)
      em:persist(book)
      em:remove(book)
      assert.equal(0, #author.books)
      em:flush()
      assert.equal(0, #raw:rows("select * from coll_books"))
    end)

    it("U4: a child that has to have a parent names the choices when it loses it", function()
      local Row = orm.entity { name = "CollRow", table = "coll_rows", { "id", type = "integer", primary = true },
        { "cells", one_to_many = "CollCell", mapped_by = "row" } }
      local Cell = orm.entity { name = "CollCell", table = "coll_cells", { "id", type = "integer", primary = true },
        { "row", many_to_one = "CollRow" } }
      orm.register({ Row, Cell }, "coll")
      instance.schema:drop()
      instance.schema:create()
      local row, cell = Row {}, Cell {}
      row.cells:add(cell)
      em:persist(row):flush()
      row.cells:remove(cell)
      local ok, err = pcall(em.flush, em)
      assert.is_false(ok)
      assert.is_true(orm.is_error(err, "validation"))
      assert.equal("row", err.property)
      assert.matches("orphan_removal", err.message)
      assert.matches("em:remove", err.message)
      em:remove(cell):flush()
      assert.equal(0, #raw:rows("select * from coll_cells"))
      assert.equal(0, #row.cells)
    end)

    it("F1: a rolled-back transaction gives collections back", function()
      local author, book, tag = Author { name = "A" }, Book { title = "b" }, Tag { name = "t" }
      author.books:add(book)
      book.tags:add(tag)
      em:persist(author):flush()
      local new
      local ok = pcall(em.transactional, em, function()
        new = Book { title = "new" }
        author.books:add(new)
        author.books:remove(book)
        book.tags:remove(tag)
        em:flush()
        tag.books:add(new)
        error("stop")
      end)
      assert.is_false(ok)
      assert.same({ book }, author.books:items())
      assert.same({ tag }, book.tags:items())
      assert.same({ book }, tag.books:items())
      assert.equal(author, book.author)
      assert.is_false(em:contains(new))
      assert.same({}, statements(function() em:flush() end))
      assert.equal("1-1", pairs_of())
    end)

    it("F1: a flush that failed leaves collections as they are, and the next one writes them", function()
      local author = Author { name = "A" }
      em:persist(author, Tag { name = "taken" }):flush()
      local book = Book { title = "b" }
      author.books:add(book)
      local tag = Tag { name = "taken" }
      book.tags:add(tag)
      local ok, err = pcall(em.flush, em)
      assert.is_false(ok)
      assert.is_true(orm.is_error(err, "unique_violation"))
      assert.same({ book }, author.books:items())
      assert.same({ tag }, book.tags:items())
      tag.name = "free"
      em:flush()
      assert.equal(1, #raw:rows("select * from coll_books_tags"))
      assert.same({ { tostring(author.id) } }, raw:rows("select author_id from coll_books"))
    end)

    it("C3: members of another context or entity manager, and what is none, are refused at the line", function()
      local author = em:create(Author, { name = "A" })
      em:persist(author):flush()
      local other = em:fork()
      local theirs = other:create(Book, { title = "b" })
      other:persist(theirs):flush()
      local function kind(fn)
        local ok, err = pcall(fn)
        assert.is_false(ok)
        return err.kind
      end
      assert.equal("not_managed", kind(function() author.books:add(theirs) end))
      assert.equal("validation", kind(function() author.books:add(Tag { name = "x" }) end))
      assert.equal("validation", kind(function() author.books:add(7) end))
      assert.equal("validation", kind(function() author.books = 7 end))
      assert.equal("validation", kind(function() author.books[1] = theirs end))
      assert.equal("validation", kind(function() author.books.add(theirs) end))
      assert.equal(0, #author.books)
    end)

    it("C3: what an entity manager's instances lead to is known through any number of new ones", function()
      local other = em:fork()
      local theirs = other:create(Tag, { name = "t" })
      other:persist(theirs):flush()
      local book, chapter = Book { title = "b" }, Chapter { name = "c" }
      book.chapters:add(chapter)
      book.tags:add(theirs)
      local ok, err = pcall(em.persist, em, chapter)
      assert.is_false(ok)
      assert.is_true(orm.is_error(err, "not_managed"))
      book.tags:remove(theirs)
      em:persist(chapter):flush()
      assert.is_true(em:contains(book))
    end)

    it("ten thousand members are added, tagged, removed from the front and written in linear time", function()
      local author, tag = Author { name = "A" }, Tag { name = "t" }
      for i = 1, 10000 do
        local book = Book { title = "b" .. i }
        author.books:add(book)
        book.tags:add(tag)
      end
      em:persist(author)
      local sent = statements(function() em:flush() end)
      assert.is_true(#sent < 60, #sent .. " statements")
      assert.equal("10000", raw:rows("select count(*) from coll_books_tags")[1][1])
      for _, book in ipairs(tag.books:items()) do tag.books:remove(book) end
      sent = statements(function() em:flush() end)
      assert.is_true(#sent < 20, #sent .. " statements")
      assert.equal("", pairs_of())
    end)

    it("O2: two owners swap their one_to_one partner", function()
      local a1, a2 = Author { name = "1" }, Author { name = "2" }
      local p1, p2 = Profile { text = "1" }, Profile { text = "2" }
      a1.profile, a2.profile = p1, p2
      em:persist(a1, a2):flush()
      p1.author, p2.author = a2, a1
      assert.equal(p2, a1.profile)
      assert.equal(p1, a2.profile)
      em:flush()
      assert.same({ { "1", tostring(a2.id) }, { "2", tostring(a1.id) } },
        raw:rows("select text, author_id from coll_profiles order by text"))
    end)
  end)
end)
