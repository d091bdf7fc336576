--- The members: authors with what makes writing dearer: a version, JSON, a decimal, and a mentor for every other.
---
---     members.sql(1, 500)        the first 500 as rows of an INSERT's VALUES
---     members.check(row, 7, 1)   raises unless the row, as the database shows it, is the seventh, changed once

local authors = require "bench.authors"

local members = { columns = authors.columns .. ", version, notes, fee, mentor_id" }

local function values(i)
  return ('{"city": "Town %d", "stars": [%d, %d]}'):format(i % 100, i % 5, i % 7), ("%d.%02d"):format(i % 500, i % 100),
    i % 2 == 0 and i / 2 or nil
end

---@param first integer
---@param last integer
---@return string
function members.sql(first, last)
  local rows = {}
  for i = first, last do
    local notes, fee, mentor = values(i)
    rows[#rows + 1] = ("%s, 1, '%s', '%s', %s)"):format(authors.sql(i, i):sub(1, -2), notes, fee,
      mentor and ("%d"):format(mentor) or "NULL")
  end
  return table.concat(rows, ", ")
end

local function same_number(value, expected)
  return (value and tonumber(value) or nil) == expected
end

---@param row table the columns in their order, as texts
---@param i integer
---@param changes integer how many years were added, one flush each
function members.check(row, i, changes)
  authors.check({ name = row[2], email = row[3], age = row[4], rating = row[5], created_at = row[6] }, i, changes)
  local notes, fee, mentor = values(i)
  local wrong = not same_number(row[7], 1 + changes) and "version" or row[8] ~= notes and "notes"
    or row[9] ~= fee and "fee" or not same_number(row[10], mentor) and "mentor"
  if wrong then error(("member %d has a wrong %s"):format(i, wrong), 0) end
end

return members
