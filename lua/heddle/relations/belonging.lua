--- Whether instances that the database has in a collection are meant to be in memory: they may have been moved there.
local collection = require("heddle.collection")
local core = require("heddle.core")
local relate = require("heddle.relate")
local relations = require("heddle.relations")

local Collection = collection.class

---@param e table
---@return boolean
function Collection:belongs(e)
  if self.prop.kind == "many_to_many" then return true end
  local target, is_known = relate.peek(e, relations.partner_of(self.owner, self.prop, e))
  return target == self.owner or not is_known
end

---All of many instances, where it is certain of each.
---@param rows table[]
---@return table[]|nil items another list of them; nil: one by one will tell
function Collection:belonging(rows)
  local meta, owners = getmetatable(rows[1]), getmetatable(self.owner)
  local shelf = self.prop.kind == "one_to_many" and meta.box and meta.box.shelf
  local their = owners.box and owners.box.shelf
  if not shelf or not their or shelf.kinds or shelf.em ~= their.em then return nil end
  local columns = meta.views[relations.partner_of(self.owner, self.prop, rows[1]).name].columns
  if columns[2] then return nil end
  return core.belonging(shelf, rows, columns[1].index, (their:key(owners.slot_of[self.owner])))
end

return Collection
