--- The first migration of a database that may have its tables already: where they are what the entities say, it counts
--- as run; where they are not, nobody can say what it would do to them, and it is refused.
local compare = require("heddle.schema.compare")
local differ = require("heddle.schema.differ")
local failure = require("heddle.migrations.failure")
local names = require("heddle.migrations.names")
local record = require("heddle.migrations.record")

local initial = {}

local function first_difference(changes)
  if changes.added[1] then return ("table '%s' is not there"):format(changes.added[1].name) end
  if changes.changed[1] then return ("table '%s' differs"):format(changes.changed[1].was.name) end
  local view = changes.views.added[1] or changes.views.changed[1] and changes.views.changed[1].now
  return ("view '%s' differs"):format(view.name)
end

-- How many of the wanted tables stay as they are, or change.
local function count_present(changes, wanted)
  return #wanted.tables - #changes.added
end

---Whether the database has the tables. Raises `migration` where there are migrations already, and where it has some of
---them or others.
---@param context table
---@param status table[] what the migrator says
---@param with_link function
---@return boolean
function initial.check(context, status, with_link)
  if status[1] then
    failure.refuse(context.name, ("there are migrations already ('%s'), so none can be the initial one; create without "
      .. "'initial'"):format(status[1].name))
  end
  local changes, wanted = with_link(context, function(link)
    local made = differ.wanted(context, link)
    return compare.changes(differ.live(context, link), made, { safe = false, drop_tables = false }), made
  end)
  if count_present(changes, wanted) == 0 then return false end
  if compare.is_empty(changes) then return true end
  return failure.refuse(context.name, ("the database has tables of the entities already, and they are not what the "
    .. "entities say: %s. Bring them up to date first (heddle schema:diff, heddle schema:update) and the initial "
    .. "migration counts as run; or create one from the database, without 'initial'"):format(first_difference(changes)))
end

---Records the migration as run.
---@param context table
---@param made { name: string }
---@param inside function
function initial.record(context, made, inside)
  inside(context, nil, function(opened, entries)
    local entry = names.find(entries, made.name, context.name)
    opened:begin()
    record.put(opened, entry, "done", 0)
    opened:commit()
  end)
end

return initial
