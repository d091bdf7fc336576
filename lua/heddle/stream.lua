--- Streams: the rows of a query one by one, read in chunks through a cursor, in constant memory (Q6).
---
--- Any reading function that runs a plan through `Manager:start(plan, params, opts)`, as all in heddle.fetch do, can
--- be streamed: with `opts.stream = stream` each call of it gives the plan's next rows. So another room streams by
---
---     return stream.open(em, "Book", opts, function(self, is_first)   -- opts: timeout, connection, lock of the query
---       if is_first then ... flush what is pending end
---       return (fetch.unmanaged(em, plan, params, self.opts))         -- self.opts: those of `opts`, and `stream`
---     end)
---
--- and gives its program all that `stream.open` gives: the generic `for` of Lua 5.4 closes the last of it when the loop
--- is left. The function is called for each chunk; nothing is sent before the first step.
---
--- Where the cursor stands: inside a transaction on its connection, with which it ends. Outside of one on a link of the
--- stream's own, in a transaction that only reads; a database in memory, which has but one connection, lends that one
--- for each chunk. What is read for the rows of a chunk is read where the chunk was (`em.chunk_link`).
local compat = require("heddle.compat")
local context = require("heddle.context")
local core = require("heddle.core")
local errors = require("heddle.errors")
local later = require("heddle.later")
local manager = require("heddle.manager")
local owner = require("heddle.owner")
local replicas = require("heddle.replicas")
local routing = require("heddle.routing")
local transaction = require("heddle.transaction")
local transaction_options = require("heddle.transaction_options")
local wait = require("heddle.wait")
local waiting = require("heddle.waiting")

local pcall = compat.pcall

local stream = {}

-- Those of entities, whoever begins them.
later.fill(stream, { ["heddle.manager.streaming"] = "entities" })

local CHUNK = 256 -- rows of one round trip
local NONE = {}

-- Those that are not over. A stream that nobody can step any more is collected, and with it its cursor and its link.
local open = setmetatable({}, { __mode = "k" })

---@class heddle.Stream
---@field em table
---@field name string of what is read, for messages
---@field opts table of the query, and `stream`
---@field rows table[] of the chunk; those that were handed out are false
---@field at integer how many were
---@field over string|nil why it is
local Stream = { __name = "heddle.stream" }
Stream.__index = Stream

-- The end --------------------------------------------------------------------------------------------------

-- Gives a link of the stream's own back. Where its transaction cannot be ended, its connection is closed.
local function give_back(self)
  local link, at = self.own_link, self.em.context
  self.own_link = nil
  if not link then return end
  if link:state() == "idle" then
    local ok, status = pcall(wait.drive, link, at, link:rollback())
    if ok and status == wait.DONE and at:is_logged() then at:log(link) end
  end
  link:close()
end

-- Whether a coroutine that goes on waits for its rows.
local function has_reader(self)
  local waiter = self.own_link and wait.waiter(self.own_link)
  return waiter and not owner.is_gone(waiter) and not owner.is_running(waiter)
end

-- A link that somebody else is waiting for is left to him.
local function finish(self, why)
  self.over = self.over or why
  self.rows, self.at, open[self] = NONE, 0, nil
  if self.cursor then self.cursor:close() end
  self.cursor = nil
  if not has_reader(self) then give_back(self) end
end

local words = {
  outlived = "the transaction, or savepoint, that it was opened in has ended; read it to its end inside, or open it "
    .. "outside",
  failed = "a step of it failed, or was given up",
  lost = "its connection was lost",
  model = "entities were registered in its context since it began",
  clear = "em:clear() ended it; em:detach lets go of single entities, and a fork can be cleared by itself",
  drop = "its entity manager, or the scope that it belonged to, has ended",
}

-- False for one that was read to its end, or closed by the program.
local function raise_over(self)
  local why = self.over
  if why == "context" then self.em.context:raise_closed() end
  if not words[why] then return false end
  return errors.raise(why == "lost" and "connection" or "closed", ("The stream of %s is over: %s"):format(self.name,
    words[why]), { context = self.em.context_name, entity = self.name })
end

-- Those of an entity manager, or of a context, are over.
local function finish_all(field, value, why)
  if next(open) == nil then return end
  local list = {}
  for each in pairs(open) do
    if each[field] == value then list[#list + 1] = each end
  end
  for _, each in ipairs(list) do finish(each, why) end
end

function manager.class:end_streams(why)
  finish_all("em", self, why)
end

function context.end_streams(item)
  finish_all("context", item, "context")
end

-- The cursor -----------------------------------------------------------------------------------------------

local READING = { read_only = true, isolation = "repeatable read" }

local function open_cursor(self, link)
  self.link, self.cursor = link, core.cursor(link, CHUNK)
end

-- On a link of the stream's own, which leads where the given one does.
local function start_apart(em, like, self, send, ...)
  give_back(self)
  local replica = like and replicas.of(like)
  local link = replica and replicas.link(em.context, replica) or em.context:link()
  wait.made_by(link, em.maker)
  link:label(("a stream of %s begun at %s"):format(self.name, tostring(errors.where() or "?")))
  waiting.own(link)
  link:begin((transaction_options.begin_text(em, READING)))
  self.own_link, em.chunk_link, em.wary = link, link, true
  open_cursor(self, link)
  return send(em, link, ...)
end

---Begins a plan, or reads on in it: for Manager:start.
---@param send fun(em: table, link: userdata, plan: table, params: table, query: userdata, seconds: number, cursor: any)
---@return integer status
---@return userdata link
function Stream:start(send, plan, params, query, seconds)
  local em = self.em
  if not self.cursor and (transaction.depth(em) > 0 or em.context.config.memory) then
    self.is_tied = true
    open_cursor(self, em:open_link())
  end
  if self.cursor then
    em.chunk_link, em.wary = self.link, true
    return send(em, self.link, plan, params, query, seconds, self.cursor), self.link
  end
  local function first(_, like)
    return start_apart(em, like, self, function(_, link)
      return send(em, link, plan, params, query, seconds, self.cursor)
    end)
  end
  local status
  if em.context.replicas then
    status = routing.start(em, first, plan, self.opts)
  else
    status = first(em)
  end
  return status, self.link
end

-- Steps ----------------------------------------------------------------------------------------------------

-- Whoever reads a chunk is to come to its end, be it that his coroutine was given up.
local function check_reader(self)
  if not self.reader then return end
  if owner.is_gone(self.reader) then return finish(self, "failed") end
  errors.raise("busy", ("A hook steps the stream of %s that it is called for"):format(self.name),
    { context = self.em.context_name, entity = self.name })
end

-- False at the end.
local function next_chunk(self)
  if self.over then return raise_over(self) end
  if self.is_last then
    finish(self, "read")
    return false
  end
  local em = self.em
  em:enter()
  local former, is_first = em.chunk_link, self.cursor == nil
  check_reader(self)
  if not is_first and em.model ~= self.model then finish(self, "model") end
  if self.over then return raise_over(self) end
  self.reader, self.model = owner.new(), em.model
  local ok, rows = pcall(self.read, self, is_first)
  em.chunk_link, self.reader = former, nil
  if not ok or self.over then
    local ended = self.over
    finish(self, "failed")
    if ended then return raise_over(self) end
    error(rows, 0)
  end
  self.rows, self.at, self.is_last = rows, 0, not self.cursor:has_more()
  if self.is_last then give_back(self) end
  return true
end

local function rigid_chunk(self)
  local ok, result = wait.rigidly(next_chunk, self)
  if not ok then error(result, 0) end
  return result
end

-- One that stands in a transaction of the program's ends with it, at whatever row.
local function check_tied(self)
  local why = self.cursor and self.cursor:ended()
  if why then finish(self, why) end
end

---The next row, nil at the end. Raises `closed` when what it depends on is over, and what reading it raises.
---@return table|nil
function Stream:__call()
  if self.is_tied then check_tied(self) end
  repeat
    while self.rows[self.at + 1] == nil do
      local has_more
      if compat.is_rigid_step() then
        has_more = rigid_chunk(self)
      else
        has_more = next_chunk(self)
      end
      if not has_more then return nil end
    end
    local at = self.at + 1
    local row = self.rows[at]
    self.rows[at], self.at = false, at
    if self.keep then row = self.keep(row) end
    if row ~= nil then return row end
  until false
end

---Frees the cursor and gives its connection back; nothing happens when it is over. Raises `busy` while another
---coroutine waits for its rows.
function Stream:close()
  if has_reader(self) then
    errors.raise("busy", ("Another coroutine is waiting for rows of this stream of %s"):format(self.name),
      { context = self.em.context_name, entity = self.name })
  end
  finish(self, "closed")
end

Stream.__close = Stream.close

function Stream:__tostring()
  return ("stream<%s%s>"):format(self.name, self.over and ", over" or "")
end

---Opens a stream: four values for a generic `for`.
---@param em table
---@param name string of what is read, for messages
---@param opts table|nil of the query
---@param read fun(self: heddle.Stream, is_first: boolean): table[] the rows of the next chunk
---@param keep? fun(row: table): table|nil looks at a row when it is handed out
---@return heddle.Stream
---@return nil
---@return nil
---@return heddle.Stream
function stream.open(em, name, opts, read, keep)
  local self = setmetatable({ em = em, context = em.context, name = name, read = read, keep = keep, rows = NONE,
    at = 0 }, Stream)
  local own = { stream = self }
  for key, value in pairs(opts or {}) do own[key] = value end
  self.opts, open[self] = own, true
  return self, nil, nil, self
end

return stream
