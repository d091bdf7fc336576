--- Reading page by page: find_by_cursor.
local errors = require("heddle.errors")
local fetch = require("heddle.fetch")
local find_options = require("heddle.find_options")
local manager = require("heddle.manager")
local named_filters = require("heddle.named_filters")
local null = require("heddle.null")
local paging = require("heddle.paging")
local resolve = require("heddle.resolve")
local select = require("heddle.select")

local Manager = manager.class
local admit = manager.admit

---@class heddle.Page
---@field items table[]
---@field has_next boolean
---@field has_prev boolean
---@field start_cursor string? of the first item
---@field end_cursor string? of the last
---@field total integer? of all that the filter finds, with `count = true`

local function refuse(map, message)
  errors.raise("validation", "find_by_cursor of " .. map.name .. ": " .. message, resolve.fields(map))
end

local function check_size(map, opts, name)
  local size = opts[name]
  if size == nil then return end
  if type(size) ~= "number" or size < 1 or size > 2 ^ 31 or size % 1 ~= 0 then
    refuse(map, "'" .. name .. "' is a whole number from 1 on")
  end
end

-- The options of the program, orm.null being no cursor, which is what decoded JSON has for it.
local function page_options(map, given)
  if given ~= nil then find_options.check(map, given, "page") end
  local opts = {}
  for name, value in pairs(given or {}) do opts[name] = value end
  if opts.after == null then opts.after = nil end
  if opts.before == null then opts.before = nil end
  check_size(map, opts, "first")
  check_size(map, opts, "last")
  if opts.first and opts.last then refuse(map, "give 'first' or 'last', not both") end
  return opts
end

local function reverse(list)
  local made, n = {}, #list
  for i = 1, n do made[i] = list[n - i + 1] end
  return made
end

-- Items in the order that was asked for, whether there was one more than asked for, and where among the rows that were
-- read the first and the last one stand.
local function cut(results, opts)
  local size = opts.first or opts.last
  local has_more = size ~= nil and #results > size
  local items = {}
  for i = 1, has_more and size or #results do items[i] = results[i] end
  local first, last = 1, #items
  if opts.last then
    items, first, last = reverse(items), last, first
  end
  return items, has_more, first, last
end

---A part of what a filter finds, and where it begins and ends. `first` items behind the cursor `after`, or the `last`
---ones before the cursor `before`, in the order of `order_by` (the primary key is added to it). Rows that are inserted
---or deleted meanwhile move no other row to another page. Raises `validation`, `unknown_property`.
---
---Usage: `local page = em:find_by_cursor(User, {}, { order_by = { "name" }, first = 20, after = last.end_cursor })`
---@param entity table|string
---@param where table
---@param opts? table options of a find, and `first last after before count`
---@return heddle.Page
function Manager:find_by_cursor(entity, where, opts)
  admit(self)
  local map = self:mapping(entity)
  opts = page_options(map, opts)
  local level, own = fetch.level(map, opts)
  local plan, params, sorted = paging.plan(map, where, own, map.named and named_filters.of(self, opts))
  local results, others = fetch.run(self, map, plan, params, opts, level)
  local items, has_more, first, last = cut(results, opts)
  local page = { items = items }
  page.has_next = opts.last == nil and has_more or opts.before ~= nil
  page.has_prev = opts.last ~= nil and has_more or opts.after ~= nil
  if items[1] ~= nil then
    page.start_cursor = paging.cursor(sorted, others, first)
    page.end_cursor = paging.cursor(sorted, others, last)
  end
  if opts.count then
    local counting, values = select.count(map, where, find_options.shared(opts), true,
      map.named and named_filters.of(self, opts))
    page.total = fetch.count(self, counting, values, opts)
  end
  return page
end

return Manager
