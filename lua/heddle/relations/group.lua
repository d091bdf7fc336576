--- Which entity manager the instances that nobody manages lead to (C3). Instances that were related form a group; it
--- knows the entity manager whose instances are in reach, so that whether an instance may be persisted is asked of its
--- group and not of everything that it reaches. A group is never parted: where it says that two entity managers meet,
--- or that an instance is in reach that was read and is not managed, the caller has to look itself.
local instance = require("heddle.instance")

local group = {}

local function root_of(node)
  while node.parent do
    node.parent = node.parent.parent or node.parent
    if not node.parent.parent then return node.parent end
    node = node.parent
  end
  return node
end

local function find(e)
  local own = instance.own(e)
  own.group = own.group or { size = 1 }
  local root = root_of(own.group)
  if getmetatable(e).is_stored then root.is_doubtful = true end
  return root
end

local function lead_to(root, token)
  if root.token and root.token ~= token then root.is_doubtful = true end
  root.token = token
end

local function unite(a, b)
  if a == b then return end
  if a.size < b.size then a, b = b, a end
  a.size, b.parent = a.size + b.size, a
  if b.token then lead_to(a, b.token) end
  a.is_doubtful = a.is_doubtful or b.is_doubtful
end

-- What tells an instance's entity manager; nil when it has none.
local function token_of(e)
  local box = getmetatable(e).box
  return box and (box.shelf and box.shelf.em.token or box)
end

---Two instances are related.
function group.join(a, b)
  local mine, theirs = token_of(a), token_of(b)
  if mine and theirs then return end
  if mine then return lead_to(find(b), mine) end
  if theirs then return lead_to(find(a), theirs) end
  unite(find(a), find(b))
end

---An instance that is nobody's any more leads to those of an entity manager.
---@param em table
function group.keep(em, e)
  lead_to(find(e), em.token)
end

---Whether something may be in reach of an unmanaged instance that an entity manager must not take.
---@param em table
---@param e table
---@return boolean
function group.is_doubtful(em, e)
  local own = getmetatable(e).own
  if not own then return false end
  local root = own.group and root_of(own.group)
  if not root then return getmetatable(e).is_stored == true end
  return root.is_doubtful or root.token ~= nil and root.token ~= em.token
end

return group
