--- A PostgreSQL client over nginx's cosockets, as small as can be: what Lua's clients for OpenResty do, without their
--- options. Start-up with trust, simple queries, values as text made numbers by their type.
---
---     local client = cosocket.connect("/run/postgresql", 5432, "user", "database", 16)
---     local rows = client:query("SELECT id, name FROM authors WHERE id = 7")
---     client:keep()

local bit = require "bit"

local ngx = ngx
local byte, char, concat = string.byte, string.char, table.concat
local band, rshift, lshift = bit.band, bit.rshift, bit.lshift

local cosocket = {}

local Client = {}
Client.__index = Client

local KEEP = 60000 -- milliseconds that an idle connection stays

local function int32(n)
  return char(band(rshift(n, 24), 255), band(rshift(n, 16), 255), band(rshift(n, 8), 255), band(n, 255))
end

local function read16(text, at)
  local a, b = byte(text, at, at + 1)
  return a * 256 + b
end

local function read32(text, at)
  local a, b, c, d = byte(text, at, at + 3)
  return lshift(a, 24) + lshift(b, 16) + lshift(c, 8) + d
end

local function receive(self)
  local head, err = self.sock:receive(5)
  if not head then error("cosocket: " .. err, 0) end
  local length = read32(head, 2) - 4
  local body = ""
  if length > 0 then
    body, err = self.sock:receive(length)
    if not body then error("cosocket: " .. err, 0) end
  end
  return char(byte(head)), body
end

local function raise(body)
  error("cosocket: " .. (body:match("%zM([^%z]*)") or "error"), 0)
end

local function start(self, user, database)
  local text = int32(196608) .. "user\0" .. user .. "\0database\0" .. database .. "\0\0"
  assert(self.sock:send(int32(#text + 4) .. text))
  while true do
    local kind, body = receive(self)
    if kind == "E" then raise(body) end
    if kind == "Z" then return end
  end
end

---@param size integer connections of one worker
function cosocket.connect(directory, port, user, database, size)
  local sock = ngx.socket.tcp()
  assert(sock:connect(("unix:%s/.s.PGSQL.%s"):format(directory, port), {
    pool = database, pool_size = size, backlog = 1000,
  }))
  local self = setmetatable({ sock = sock }, Client)
  if sock:getreusedtimes() == 0 then start(self, user, database) end
  return self
end

local NUMBERS = { [20] = true, [21] = true, [23] = true, [700] = true, [701] = true }

local function read_columns(body)
  local columns, at = {}, 3
  for i = 1, read16(body, 1) do
    local last = body:find("\0", at, true)
    columns[i] = { name = body:sub(at, last - 1), is_number = NUMBERS[read32(body, last + 7)] }
    at = last + 19
  end
  return columns
end

local function read_row(body, columns)
  local row, at = {}, 3
  for i = 1, #columns do
    local column, length = columns[i], read32(body, at)
    at = at + 4
    if length >= 0 then
      local text = body:sub(at, at + length - 1)
      row[column.name] = column.is_number and tonumber(text) or text
      at = at + length
    end
  end
  return row
end

---@return table[] rows
function Client:query(sql)
  assert(self.sock:send(concat { "Q", int32(#sql + 5), sql, "\0" }))
  local rows, columns, failure = {}, nil, nil
  while true do
    local kind, body = receive(self)
    if kind == "T" then
      columns = read_columns(body)
    elseif kind == "D" then
      rows[#rows + 1] = read_row(body, columns)
    elseif kind == "E" then
      failure = body
    elseif kind == "Z" then
      if failure then raise(failure) end
      return rows
    end
  end
end

---Gives the connection back.
function Client:keep()
  assert(self.sock:setkeepalive(KEEP))
end

return cosocket
