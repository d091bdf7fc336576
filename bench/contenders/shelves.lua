--- What a program does that has read authors and books by two queries: gives each author an array of its books.

local shelves = {}

---@param authors table[]
---@param books table[]
---@return table[] authors
function shelves.fill(authors, books)
  local lists = {}
  for i = 1, #authors do
    local list = {}
    authors[i].books = list
    lists[authors[i].id] = list
  end
  for i = 1, #books do
    local book = books[i]
    local list = lists[book.author_id]
    list[#list + 1] = book
  end
  return authors
end

function shelves.books_of(author)
  return author.books
end

return shelves
