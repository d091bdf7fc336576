--- The key of an instance that stands in a filter.
local custom = require("heddle.custom")
local errors = require("heddle.errors")
local given_key = require("heddle.given_key")
local inherit = require("heddle.inherit")
local instance = require("heddle.instance")
local place = require("heddle.filter.place")

function place.hooks.key_of(value, map)
  local meta = instance.meta_of(value)
  if not meta then return nil end
  local shelf = meta.box and meta.box.shelf
  if meta.context_name and meta.context_name ~= map.context then
    errors.raise("wrong_context", ("a %s of context '%s' in a filter of context '%s'"):format(meta.definition.name,
      meta.context_name, map.context), { context = map.context, entity = meta.definition.name })
  end
  if not inherit.is_a(meta.definition, map.meta) then
    errors.raise("validation", ("a filter on %s was given a %s"):format(map.name, meta.definition.name),
      { context = map.context, entity = map.name })
  end
  local key
  if shelf then
    key = shelf:program_key(meta.slot_of[value])
  else
    key = custom.key(map.key, given_key.of(value, map) or {}, custom.from_db)
  end
  if #key < #map.key then
    errors.raise("validation", ("a %s without a key in a filter: flush it first"):format(map.name),
      { context = map.context, entity = map.name })
  end
  return key
end

return place.hooks
