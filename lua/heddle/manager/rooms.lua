--- Where the methods of the entity manager stand: each room is loaded when one of its methods is first called.
local later = require("heddle.later")

local rooms = {
  ["heddle.fetch"] = "start",
  ["heddle.manager.by_key"] = "known find_one read_key find_one_or_fail get_reference",
  ["heddle.manager.creating"] = "create assign",
  ["heddle.manager.direct"] = "update_where delete_where insert insert_many",
  ["heddle.manager.entering"] = "check_waiters enter is_in_use",
  ["heddle.manager.filters"] = "enable_filter disable_filter set_filter_params",
  ["heddle.manager.locking"] = "lock",
  ["heddle.manager.mapped"] = "map",
  ["heddle.manager.merging"] = "merge",
  ["heddle.manager.paging"] = "find_by_cursor",
  ["heddle.manager.querying"] = "query",
  ["heddle.manager.reading"] = "find find_all count find_and_count load refresh contains execute check_global "
    .. "repository",
  ["heddle.manager.streaming"] = "stream",
  ["heddle.manager.transactions"] = "begin commit rollback in_transaction transactional",
  ["heddle.manager.upsert"] = "upsert upsert_many",
  ["heddle.manager.writing"] = "persist remove flush changes break_flush persist_and_flush remove_and_flush "
    .. "detach",
}

---Gives the class what stands for its methods until then.
---@param class table
return function(class)
  return later.fill(class, rooms)
end
