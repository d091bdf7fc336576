--- SQLite has one writer for each file. Who holds a file's write lock in this process, so that a coroutine which would
--- wait for itself is told at once instead of after the busy timeout.
local compat = require("heddle.compat")
local errors = require("heddle.errors")

local write_lock = {}

-- File -> { em =, co =, where = } of the transaction that writes.
local holders = {}

local function is_self_or_ancestor(co)
  if co == compat.running() then return true end
  return type(co) ~= "thread" or coroutine.status(co) == "normal"
end

---Notes that this entity manager is about to write in a transaction. Raises `lock_timeout` when the wait could not end,
---`unsupported` for a second transaction on a database in memory.
function write_lock.take(em)
  local made = em.context.config
  if em.context.driver_name ~= "sqlite" then return end
  local file = made.memory and em.context or made.database
  local holder = holders[file]
  if holder and holder.em ~= em and holder.em.link ~= em.link and #holder.em.transactions > 0
    and is_self_or_ancestor(holder.co) then
    if made.memory then
      errors.raise("unsupported", ("Context '%s' is one connection in memory, "
        .. "and a transaction begun at %s is open on it")
        :format(em.context_name, holder.where), { context = em.context_name })
    end
    errors.raise("lock_timeout", ("'%s' is being written by a transaction of this very coroutine, "
      .. "begun at %s: waiting for "
      .. "it would never end; finish it first, or write through its entity manager"):format(tostring(made.database),
      holder.where), { context = em.context_name })
  end
  if not holder or #holder.em.transactions == 0 then
    holders[file] = { em = em, co = compat.running(), where = errors.where() or "?" }
  end
  em.holds_file = file
end

---The transaction is over.
function write_lock.release(em)
  local file = em.holds_file
  if file == nil then return end
  if holders[file] and holders[file].em == em then holders[file] = nil end
  em.holds_file = nil
end

return write_lock
