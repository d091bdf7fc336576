--- What became of a transaction whose connection was lost while its COMMIT was under way (F4): another connection is
--- asked by the transaction's id.
local compat = require("heddle.compat")
local wait = require("heddle.wait")

local outcome = {}

local LOOKS = 8

---A server may take a while to notice that nobody is there any more; a file was asked by its own connection.
---@param context table
---@param xid string|nil
---@return boolean|nil committed nil when nobody knows
function outcome.look_up(context, xid)
  if context.driver_name == "sqlite" then return false end
  if not xid then return nil end
  local link, status = context:link(), "in progress"
  for try = 1, LOOKS do
    local ok, rows = compat.pcall(context.run_sql, context, link, "select txid_status(?::bigint) as status",
      { n = 1, xid })
    status = ok and rows[1] and rows[1].status
    if status ~= "in progress" then break end
    wait.sleep(0.01 * 2 ^ try)
  end
  link:close()
  if status == "committed" then return true end
  if status == "aborted" then return false end
  return nil
end

return outcome
