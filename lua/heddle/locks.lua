--- Lock modes of queries and of `em:lock`: what each is in SQL, and when it can be had.
---
--- A pessimistic lock lasts as long as its transaction. SQLite locks the file, not rows: a transaction that may write
--- has it from its first statement on, and with it every lock that could be asked for; the wait is at that statement.
local errors = require("heddle.errors")
local resolve = require("heddle.resolve")

local locks = {}

local modes = {
  optimistic = "",
  pessimistic_read = " FOR SHARE OF e0",
  pessimistic_read_nowait = " FOR SHARE OF e0 NOWAIT",
  pessimistic_read_skip_locked = " FOR SHARE OF e0 SKIP LOCKED",
  pessimistic_write = " FOR UPDATE OF e0",
  pessimistic_write_nowait = " FOR UPDATE OF e0 NOWAIT",
  pessimistic_write_skip_locked = " FOR UPDATE OF e0 SKIP LOCKED",
}

---@param mode string
---@return boolean
function locks.is_pessimistic(mode)
  return mode ~= nil and mode ~= "optimistic"
end

---Raises `validation` for what is no lock mode or needs a version that the entity has not, `unsupported` for what
---SQLite cannot do.
---@param mapping table
---@param mode any
---@param where string "option 'lock'", "em:lock"
function locks.check(mapping, mode, where)
  if not modes[mode] then
    return resolve.refuse("validation", mapping, nil, where, errors.quote(mode) .. " is no lock mode; there are "
      .. "optimistic, pessimistic_read, pessimistic_write, the last two also with _nowait and _skip_locked")
  end
  if mapping.expression then
    return resolve.refuse("validation", mapping, nil, where, "what is read from an expression cannot be locked")
  end
  if mode == "optimistic" and not mapping.version then
    return resolve.refuse("validation", mapping, nil, where, "an optimistic lock goes by the version, and this entity "
      .. "has none: give it a property with version = true")
  end
  if mapping.driver == "sqlite" and mode:find("skip_locked", 1, true) then
    return resolve.refuse("unsupported", mapping, nil, where, "SQLite locks the whole file, not rows: there is nothing "
      .. "that '" .. mode .. "' could skip")
  end
end

---What stands behind a SELECT.
---@param driver string
---@param mode string|nil
---@param alias? string whose rows are locked, as SQL; `e0` when left out
---@return string
function locks.sql(driver, mode, alias)
  local text = driver == "postgres" and modes[mode] or ""
  return alias and text:gsub("e0", (alias:gsub("%%", "%%%%"))) or text
end

---Whether a plan must not wait for SQLite's write lock.
---@return boolean
function locks.is_impatient(mapping, mode)
  return mapping.driver == "sqlite" and mode ~= nil and mode:find("_nowait", 1, true) ~= nil
end

---A pessimistic lock needs a transaction that may write. Raises `transaction_required`, `read_only`.
---@param em table
---@param mapping table
---@param mode string|nil
function locks.check_transaction(em, mapping, mode)
  if not locks.is_pessimistic(mode) then return end
  local outermost = em.transactions[1]
  if not outermost then
    errors.raise("transaction_required", "a lock lasts as long as its transaction, and none is open: use "
      .. "em:transactional", resolve.fields(mapping))
  elseif outermost.opts and outermost.opts.read_only then
    errors.raise("read_only", "a read-only transaction takes no locks", resolve.fields(mapping))
  end
end

---SQLite's write lock is somebody else's, and the plan does not wait for it.
---@param em table
---@param mapping table
function locks.raise_taken(em, mapping)
  em.link:reset()
  errors.raise("lock_timeout", ("'%s' is being written by another connection, and a nowait lock does not "
    .. "wait for it: try again later"):format(em.context.config.database), resolve.fields(mapping))
end

return locks
