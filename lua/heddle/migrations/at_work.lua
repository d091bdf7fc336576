--- Who is at a migration that runs without a transaction on SQLite, where nothing in the database is held from its
--- first statement to its last: a file beside the database, which is locked meanwhile. The system gives the lock back
--- when a process dies. The file stays: were it removed, one process could lock the one that is gone, another the next.
--- On PostgreSQL the session's lock says it.
local files = require("heddle.migrations.files")

local at_work = {}

local function path_of(session)
  local place = session:query("PRAGMA database_list").file
  if not place or place == "" then return nil end
  return place .. "-migrating-" .. session.context.name:gsub("[^%w_-]", "_")
end

---Takes the place of the one who is at it.
---@param session table
---@return table|nil held for `leave`; nil while another process has it
function at_work.take(session)
  local path = session.context.driver_name == "sqlite" and path_of(session)
  local file = path and io.open(path, "ab")
  -- Nobody else can be there: it is this process's own, or cannot be written to.
  if not file then return {} end
  if files.lfs(session.context.name).lock(file, "w") then return { file = file } end
  file:close()
  return nil
end

---@param held table
function at_work.leave(held)
  if not held.file then return end
  held.file:close()
end

return at_work
