--- The books: ten for each of the first thousand authors, those of an author behind each other.
---
---     books.sql(1, 500)                   the first 500 as rows of an INSERT's VALUES
---     books.check(list, 7, "author_id")   raises unless the list holds the books of author 7

local books = { columns = "id, title, pages, author_id", authors = 1000, each = 10 }

local function values(i)
  return "Book " .. i, 80 + i % 700, math.floor((i - 1) / books.each) + 1
end

function books.count()
  return books.authors * books.each
end

---@param first integer
---@param last integer
---@return string
function books.sql(first, last)
  local rows = {}
  for i = first, last do
    local title, pages, author = values(i)
    rows[#rows + 1] = ("(%d, '%s', %d, %d)"):format(i, title, pages, author)
  end
  return table.concat(rows, ", ")
end

---Raises unless `list` holds all the books of one author, in whatever order.
---@param list table[] with id, title, pages
---@param author integer
function books.check(list, author)
  if #list ~= books.each then error(("author %d has %d books"):format(author, #list), 0) end
  local seen = {}
  for _, book in ipairs(list) do
    local i = tonumber(book.id)
    local title, pages, owner = values(i)
    if seen[i] or owner ~= author or book.title ~= title or tonumber(book.pages) ~= pages then
      error(("book %d of author %d is not what it should be"):format(i, author), 0)
    end
    seen[i] = true
  end
end

return books
