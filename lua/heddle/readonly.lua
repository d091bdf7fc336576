--- Entities that say `readonly = true`: they are read, and nothing else.
local errors = require("heddle.errors")
local family = require("heddle.family")
local instance = require("heddle.instance")

local readonly = {}

---Raises `read_only` when the entity is.
---@param em table
---@param map table
---@param what string the call that would write, as "em:persist"
function readonly.check(em, map, what)
  if not map.meta.readonly then return end
  errors.raise("read_only", ("%s: entity '%s' is read only"):format(what, map.name),
    { context = em.context_name, entity = map.name })
end

---The same for writes by filter: rows of a readonly entity that extends this one are among them.
function readonly.check_family(em, map, what)
  readonly.check(em, map, what)
  for _, member in ipairs(map.root.members or {}) do
    if family.is_a(member, map) then readonly.check(em, member, what) end
  end
end

local function raise_changed(em, e, what)
  local name = getmetatable(e).definition.name
  errors.raise("read_only", ("em:flush: entity '%s' is read only, and %s; em:refresh or em:detach it"):format(name,
    what), { context = em.context_name, entity = name })
end

local words = { create = "a new one is reached by a cascade", update = "was changed", delete = "is to be deleted" }

---Raises `read_only` for the first row of a change set, or collection with pairs to write, whose entity is.
---@param rows table[] as gather made them, with their pairs
function readonly.check_rows(em, rows)
  for _, row in ipairs(rows) do
    if row.index and getmetatable(row.e).definition.readonly then
      raise_changed(em, row.e, row.op == "create" and words.create or instance.name_of(row.e) .. " " .. words[row.op])
    end
  end
  for _, item in ipairs(rows.pairs or {}) do
    local owner = item.state.owner
    if getmetatable(owner).definition.readonly then
      raise_changed(em, owner, instance.name_of(owner) .. " has other members of '" .. item.state.prop.name .. "'")
    end
  end
end

return readonly
