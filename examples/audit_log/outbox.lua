--- An outbox: messages to the world are rows, written in the transaction of what they tell of and sent when it has been
--- committed. What could not be sent stays in the table and goes with the next one.
local orm = require("heddle")

local outbox = {}

outbox.Message = orm.entity {
  name = "OutboxMessage", table = "outbox_messages",
  { "id",      type = "integer", primary = true },
  { "subject", type = "string" },
  { "body",    type = "json" },
  { "sent_at", type = "timestamp", nullable = true },
}

---Sends what waits, in order. A message that was sent just before the program died is sent again: receivers know
---them by their id.
---@param em table
---@param send fun(message: table) raises when it cannot
function outbox.deliver(em, send)
  for _, message in ipairs(em:find(outbox.Message, { sent_at = orm.null }, { order_by = { "id" } })) do
    send(message)
    message.sent_at = orm.now()
    em:flush()
  end
end

---Tells the world of new orders.
---@param instance table
---@param send fun(message: table)
function outbox.install(instance, send)
  instance:on("after_flush", function(changes)
    for _, change in ipairs(changes) do
      if change.op == "create" and change.name == "Order" then
        changes.em:insert(outbox.Message, { subject = "order " .. change.values.id,
          body = { customer = change.values.customer, total = change.values.total } })
      end
    end
  end)
  instance:on("after_commit", function(changes)
    for _, change in ipairs(changes) do
      if change.name == "Order" then
        -- The commit stands, whatever becomes of the messages.
        local ok, err = pcall(outbox.deliver, changes.em:fork(), send)
        if not ok then print("  outbox     " .. tostring(err) .. ": the message waits") end
        return
      end
    end
  end)
end

return outbox
