--- The options of a transaction: isolation, access, propagation, retry; how they are said in SQL.
local errors = require("heddle.errors")
local options = require("heddle.options")

local transaction_options = {}

-- In the order of their strength.
local isolations = { "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE" }
local strength = {}
for i, text in ipairs(isolations) do strength[text] = i end

local function isolation_text(given)
  return given:upper():gsub("_", " ")
end

local function check_isolation(given)
  if type(given) == "string" and strength[isolation_text(given)] then return nil end
  return "'read committed', 'repeatable read' or 'serializable'", errors.quote(given)
end

local begin_rules = { isolation = check_isolation, read_only = options.boolean }
local rules = {
  isolation = check_isolation, read_only = options.boolean, retry = options.integer(0),
  propagation = options.one_of({ "nested", "required", "requires_new", "mandatory", "supports", "not_supported",
    "never" }),
}

---Raises `unknown_property`, `validation` for what cannot be an option of `transactional`, or of `begin`.
---@param opts any
---@param is_begin? boolean
function transaction_options.check(em, opts, is_begin)
  if opts == nil then return end
  if type(opts) ~= "table" then
    errors.raise("validation", "the options of a transaction are a table, not " .. options.describe(opts),
      { context = em.context_name })
  end
  options.check(opts, is_begin and begin_rules or rules, function(message, is_unknown)
    errors.raise(is_unknown and "unknown_property" or "validation", "transaction: " .. message,
      { context = em.context_name })
  end)
end

local function refuse_nested(em, what, around)
  errors.raise("unsupported", ("%s inside a transaction that is %s: the outermost one chooses, or one with "
    .. "propagation = \"requires_new\""):format(what, around), { context = em.context_name })
end

---What is begun inside has isolation and access of what is around it; a test's transaction is nobody's choice. Raises
---`unsupported` for what would need another transaction.
---@param opts table|nil
function transaction_options.check_nested(em, opts)
  local outer = em.transactions[1]
  if not opts or not outer or outer.nested then return end
  local chosen = outer.opts or {}
  if opts.read_only ~= nil and opts.read_only ~= (chosen.read_only or false) then
    refuse_nested(em, "read_only = " .. tostring(opts.read_only), chosen.read_only and "read-only" or "one that writes")
  end
  if not opts.isolation or em.context.driver_name == "sqlite" then return end
  local around = isolation_text(chosen.isolation or "read committed")
  if strength[isolation_text(opts.isolation)] > strength[around] then
    refuse_nested(em, ("isolation '%s'"):format(opts.isolation), around:lower())
  end
end

---How a transaction begins. SQLite's are serializable; one that writes takes the write lock at once, so that it cannot
---find out half way that somebody else had it.
---@return string text
---@return string|nil more a second statement
function transaction_options.begin_text(em, opts)
  opts = opts or {}
  if em.context.driver_name == "sqlite" then
    if opts.read_only then return "BEGIN", "PRAGMA query_only = 1" end
    return "BEGIN IMMEDIATE"
  end
  local text = "BEGIN"
  if opts.isolation then text = text .. " ISOLATION LEVEL " .. isolation_text(opts.isolation) end
  if opts.read_only then text = text .. " READ ONLY" end
  return text
end

return transaction_options
