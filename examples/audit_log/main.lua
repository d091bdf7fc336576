-- An audit log and an outbox, built on listeners of after_flush and after_commit. README.md tells why it is done so.
--
--     lua5.4 main.lua       makes audit.db beside this file
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
package.path = here .. "?.lua;" .. package.path

local orm = require("heddle")
local audit = require("audit")
local outbox = require("outbox")
local entities = require("entities")

local Customer, Order = entities[1], entities[2]

local shop = orm.init {
  driver = "sqlite", database = here .. "audit.db",
  entities = { Customer, Order, audit.Entry, outbox.Message },
}
shop.schema:drop()
shop.schema:create()

local user, post_is_up = "ann", true
local off = audit.install(shop, { Customer, Order }, function() return user end)
outbox.install(shop, function(message)
  if not post_is_up then error("the post is down", 0) end
  print(("  sent       %s: %s"):format(message.subject, message.body.total))
end)

local function say(format, ...) print("  " .. format:format(...)) end

local function chapter(title, tell)
  print("\n" .. title)
  orm.request_context(function() tell(orm.em()) end)
end

local function show(values)
  local words = {}
  for name, value in pairs(values) do
    words[#words + 1] = name .. "=" .. (value == orm.null and "null" or tostring(value))
  end
  table.sort(words)
  return table.concat(words, " ")
end

local function tell_log(em)
  for _, entry in ipairs(em:find(audit.Entry, {}, { order_by = { "id" } })) do
    say("%-4s %s %s#%d  [%s] -> [%s]", entry.who, entry.op, entry.entity, entry.key.id, show(entry.old),
      show(entry.new))
  end
end

chapter("1. What is written is logged, by whom, with old and new values", function(em)
  local cid = em:create(Customer, { name = "Cid", password = "secret" })
  em:persist_and_flush(cid)
  user = "ben"
  cid.limit = "250"
  cid.password = "another"
  em:flush()
  local gone = em:create(Customer, { name = "Dora", password = "x" })
  em:persist_and_flush(gone)
  em:remove_and_flush(gone)
  tell_log(em)
end)

chapter("2. An order and its message are one transaction; the message is sent behind it", function(em)
  local cid = em:find_one(Customer, { name = "Cid" })
  em:transactional(function()
    em:persist(em:create(Order, { customer = cid, total = "12.5" })):flush()
    say("flushed    messages that wait: %d", em:count(outbox.Message, { sent_at = orm.null }))
  end)
  say("committed  messages that wait: %d", em:count(outbox.Message, { sent_at = orm.null }))
end)

chapter("3. What is rolled back is neither logged nor sent", function(em)
  local before = em:count(audit.Entry, {})
  local ok = pcall(em.transactional, em, function()
    em:persist(em:create(Order, { customer = em:find_one(Customer, { name = "Cid" }), total = "999" })):flush()
    error("the card was refused")
  end)
  say("%s: new entries in the log: %d, orders: %d", ok and "ordered" or "refused",
    em:count(audit.Entry, {}) - before, em:count(Order, {}))
end)

chapter("4. When the post is down the order stands, and its message goes with the next", function(em)
  local cid = em:find_one(Customer, { name = "Cid" })
  post_is_up = false
  em:persist_and_flush(em:create(Order, { customer = cid, total = "7" }))
  say("orders     %d of them", em:count(Order, {}))
  post_is_up = true
  em:persist_and_flush(em:create(Order, { customer = cid, total = "8" }))
end)

chapter("5. A listener can be switched off", function(em)
  off()
  em:find_one(Customer, { name = "Cid" }).limit = "0"
  local before = em:count(audit.Entry, {})
  em:flush()
  say("new entries in the log: %d", em:count(audit.Entry, {}) - before)
end)

orm.close()
