--- SQLite has one writer for each file, and a database in memory one connection. Which transactions are open on them in
--- this process, so that a coroutine which would wait for itself is told at once instead of after the busy timeout.
local errors = require("heddle.errors")
local owner = require("heddle.owner")

local write_lock = {}

local WEAK_KEYS = { __mode = "k" }

-- File, or context in memory -> set of { link =, owner =, where = }, each kept by its entity manager.
local open = setmetatable({}, WEAK_KEYS)

local function place_of(context)
  return context.config.memory and context or context.config.database
end

---Notes a transaction that may write.
---@param em table
---@param where string what it is, for messages: "a transaction begun at app.lua:12"
function write_lock.take(em, where)
  if em.context.driver_name ~= "sqlite" then return end
  local place = place_of(em.context)
  open[place] = open[place] or setmetatable({}, WEAK_KEYS)
  em.write_lock = { link = em.link, owner = owner.new(), where = where }
  open[place][em.write_lock] = true
end

---The transaction is over.
function write_lock.release(em)
  if not em.write_lock then return end
  open[place_of(em.context)][em.write_lock] = nil
  em.write_lock = nil
end

---A link is about to wait for somebody else's lock. Raises `lock_timeout`, or `unsupported` in memory, when it would
---wait for this very coroutine or one that resumed it.
function write_lock.check(context, link)
  for item in pairs(open[place_of(context)] or {}) do
    local _, _, over, began = item.link:state()
    if item.link ~= link and began and not over and owner.is_here(item.owner) then
      if context.config.memory then write_lock.refuse_second(context, item.where) end
      errors.raise("lock_timeout", ("'%s' is being written by %s, of this very coroutine: waiting for it would "
        .. "never end; finish it first, or write through its entity manager"):format(context.config.database,
        item.where), { context = context.name })
    end
  end
end

---The transaction of this process that holds the lock, on another link than this.
---@return string|nil where
function write_lock.holder(context, link)
  for item in pairs(open[place_of(context)] or {}) do
    local _, _, over, began = item.link:state()
    if item.link ~= link and began and not over then return item.where end
  end
end

---A database in memory is one connection.
function write_lock.refuse_second(context, where)
  errors.raise("unsupported", ("Context '%s' is one connection in memory, and it is in use: %s"):format(context.name,
    where), { context = context.name })
end

return write_lock
