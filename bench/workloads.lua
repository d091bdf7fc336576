--- The workloads: what is done before the clock starts, what under it, and how the result is checked.
---
--- A contender has methods for the parts (`load_all find_each insert age shelves revise units`); what a workload is
--- made of stands here once, so that all contenders do the same. Whoever lacks the method that `needs` names stands
--- aside; `besides` names a table that is needed beside the authors; `hooked` also runs Heddle with a listener. A goal
--- is a multiple of the floor's time, or the name of the workload whose multiple it may reach.

local authors = require "bench.authors"
local books = require "bench.books"
local members = require "bench.members"

local function same_count(list, count, what)
  if #list ~= count then error(("%d %s instead of %d"):format(#list, what, count), 0) end
end

-- What the table holds, read over another connection, against what it should: `number` says which author a row is,
-- `years` how much older than at first.
local function check_table(run, number, years)
  local rows = run.database:rows(run.source, "authors")
  same_count(rows, run.rows, "rows in the table")
  for _, row in ipairs(rows) do
    local i = number(tonumber(row[1]))
    authors.check({ name = row[2], email = row[3], age = row[4], rating = row[5], created_at = row[6] }, i, years(i))
  end
end

local function by_key(key)
  return key
end

local function no_years()
  return 0
end

-- Keys were filled in if every row of the table is known by its key.
local function check_inserted(run, rows)
  same_count(rows, run.rows, "rows given back")
  local numbers = {}
  for i, row in ipairs(rows) do numbers[tonumber(row.id)] = i end
  check_table(run, function(key)
    return numbers[key] or error(("the key %s was not filled in"):format(tostring(key)), 0)
  end, no_years)
end

local function prepare_rows(run)
  local rows = {}
  for i = 1, run.rows do rows[i] = authors.row(i, run.contender.text_instants) end
  return rows
end

local function prepare_keys(count)
  return function(run) return authors.keys(count, run.rows) end
end

local function check_units(run, _, keys)
  local years = {}
  for _, key in ipairs(keys) do years[key] = (years[key] or 0) + 1 end
  check_table(run, by_key, function(i) return years[i] or 0 end)
end

local function check_found(_, rows, keys)
  same_count(rows, #keys, "rows found")
  for i, row in ipairs(rows) do authors.check(row, keys[i]) end
end

local function check_loaded(run, rows)
  same_count(rows, run.rows, "rows loaded")
  for _, row in ipairs(rows) do authors.check(row, tonumber(row.id)) end
end

local function check_shelves(run, shelves)
  same_count(shelves, math.min(books.authors, run.rows), "authors loaded")
  for i, author in ipairs(shelves) do
    authors.check(author, i)
    books.check(run.contender.books_of(author), i)
  end
end

local function check_revised(run, told)
  local rows = run.database:rows(run.source, "members")
  same_count(rows, run.rows, "rows in the table")
  for i, row in ipairs(rows) do members.check(row, i, 1) end
  if told and told ~= run.rows then error(("the listener heard of %d rows"):format(told), 0) end
end

local function units(handle, keys)
  return handle:units(keys)
end

local function find_each(handle, keys)
  return handle:find_each(keys)
end

return {
  {
    name = "W1", title = "load %s", full = true, goals = { sqlite = 1.25, postgres = 1.25 },
    run = function(handle) return handle:load_all() end, check = check_loaded, hooked = true,
  },
  {
    name = "W2", title = "5,000 finds by key", full = true, goals = { sqlite = 1.8, postgres = 1.15 },
    prepare = prepare_keys(5000), run = find_each, check = check_found, hooked = true,
  },
  {
    name = "W2p", title = "W2, all on one processor", full = true, drivers = { postgres = true }, pinned = true,
    prepare = prepare_keys(5000), run = find_each, check = check_found, goals = {},
  },
  {
    name = "W3", title = "insert %s, keys filled in", writes = true, goals = { sqlite = 2.0, postgres = 1.5 },
    prepare = prepare_rows, check = check_inserted, hooked = true,
    run = function(handle, rows) return handle:insert(rows) end,
  },
  {
    name = "W3c", title = "W3, the floor by COPY", writes = true, drivers = { postgres = true }, goals = {},
    prepare = prepare_rows, check = check_inserted,
    run = function(handle, rows) return handle.copy and handle:copy(rows) or handle:insert(rows) end,
  },
  {
    name = "W4", title = "change 1 in 100 of %s loaded", full = true, writes = true,
    goals = { sqlite = 1.0, postgres = 1.0 }, hooked = true,
    prepare = function(_, handle) return handle:load_all() end,
    run = function(handle, rows) return handle:age(rows, 100) end,
    check = function(run)
      check_table(run, by_key, function(i) return i % 100 == 0 and 1 or 0 end)
    end,
  },
  {
    name = "W5", title = "load %s, change each", full = true, writes = true, hooked = true,
    goals = { sqlite = 1.4, postgres = 1.2 },
    run = function(handle) return handle:age(handle:load_all(), 1) end,
    check = function(run)
      check_table(run, by_key, function() return 1 end)
    end,
  },
  {
    name = "W6", title = "1,000 authors, 10 books each", full = true, besides = "books", needs = "shelves",
    hooked = true, check = check_shelves, goals = { sqlite = 1.5, postgres = 1.4 },
    run = function(handle) return handle:shelves(books.authors) end,
  },
  {
    name = "W7", title = "2,000 units: find, change, write", full = true, writes = true,
    goals = { sqlite = 1.2, postgres = 1.05 },
    prepare = prepare_keys(2000), run = units, check = check_units, hooked = true,
  },
  {
    name = "W7p", title = "W7, all on one processor", full = true, writes = true, drivers = { postgres = true },
    pinned = true, prepare = prepare_keys(2000), run = units, check = check_units, goals = {},
  },
  {
    name = "W8", title = "W5, version, json, mentor, hook", full = true, writes = true, besides = "members",
    needs = "revise", goals = { sqlite = 2.5, postgres = 2.5 }, check = check_revised,
    run = function(handle) return handle:revise() end,
  },
  {
    name = "W9", title = "W1, half managed already", full = true, goals = { sqlite = "W1", postgres = "W1" },
    prepare = function(run, handle) return handle.load_half and handle:load_half(run.rows / 2) end,
    run = function(handle) return (handle.load_rest or handle.load_all)(handle) end, check = check_loaded,
  },
}
