--- The authors: what the tables hold, and whether they hold it.
---
---     authors.row(7)          a row without its key, as a program would insert it
---     authors.check(row, 7)   raises unless the row is the seventh author
---
--- Every value follows from the author's number, so that each run sees the same data.

local authors = {}

authors.columns = "id, name, email, age, rating, created_at"

local BEGIN = 1500000000

local function instant(i)
  local fraction = i % 4
  local second = BEGIN + i * 61
  return fraction == 0 and second or second + fraction / 4
end

---Seconds since 1970 as the text that both databases take and SQLite keeps.
---@param seconds number
---@return string
function authors.stamp(seconds)
  local whole = math.floor(seconds)
  return os.date("!%Y-%m-%d %H:%M:%S", whole) .. ("%.6f"):format(seconds - whole):sub(2)
end

local function values(i)
  return "Author " .. i, "author" .. i .. "@example.org", 18 + i % 60, i % 50 / 10, instant(i)
end

---@param i integer
---@param text_instants? boolean for libraries that know no timestamps
function authors.row(i, text_instants)
  local name, email, age, rating, created_at = values(i)
  if text_instants then created_at = authors.stamp(created_at) end
  return { name = name, email = email, age = age, rating = rating, created_at = created_at }
end

---The seven keys of seven authors, say, far from each other and none twice (in any `rows` in a row).
---@param count integer
---@param rows integer
---@return integer[]
function authors.keys(count, rows)
  local keys = {}
  for i = 1, count do keys[i] = i * 7919 % rows + 1 end
  return keys
end

-- Libraries give instants as text, in a form of the database's: "2017-07-14 02:40:00.25+00".
local function same_instant(value, expected)
  if type(value) == "number" then return value == expected end
  local second, fraction = value:match("^(%d+%-%d+%-%d+ %d+:%d+:%d+)%.?(%d*)")
  return second and authors.stamp(expected) == second .. "." .. fraction .. ("0"):rep(6 - #fraction)
end

---Raises unless `row` is author `i`, as first written or so many years older.
---@param row table
---@param i integer
---@param years? integer
function authors.check(row, i, years)
  local name, email, age, rating, created_at = values(i)
  local wrong = row.name ~= name and "name" or row.email ~= email and "email"
    or tonumber(row.age) ~= age + (years or 0) and "age" or tonumber(row.rating) ~= rating and "rating"
    or not same_instant(row.created_at, created_at) and "created_at"
  if wrong then
    error(("author %d has a wrong %s: %s"):format(i, wrong, tostring(row[wrong])), 0)
  end
end

---Authors `first` to `last` as rows of an INSERT's VALUES.
---@param first integer
---@param last integer
---@return string
function authors.sql(first, last)
  local rows = {}
  for i = first, last do
    local name, email, age, rating, created_at = values(i)
    rows[#rows + 1] = ("(%d, '%s', '%s', %d, %.1f, '%s')"):format(i, name, email, age, rating,
      authors.stamp(created_at))
  end
  return table.concat(rows, ", ")
end

return authors
