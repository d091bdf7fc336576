--- HTTP requests as specs need them: many at once, each on a connection of its own, and some that are given up.
--
--     local http = require "spec.support.http"
--     local address = { socket = "/path/of/a/socket" }            -- or { host = "127.0.0.1", port = 8080 }
--     local result = http.get(address, "/users", { method = "POST", body = "{}", headers = { ["X-Name"] = "x" } })
--     local results = http.many(address, { "/a", { "/b", timeout = 5 } })   -- in the order of the list
--     local request = http.send(address, "/slow")
--     request:abort()
--
-- A result is { status =, body =, headers = (names in lower case), seconds = } or { problem = "closed" | "timeout" |
-- "refused" | ..., seconds = }; an answer that breaks off is a problem. Results come in the order of the list.

local socket = require "socket"
local unix = require "socket.unix"

local http = {}

local PATIENCE = 30 -- seconds, for one answer

local Request = {}
Request.__index = Request

local function connect(address)
    if not address.socket then return socket.connect(address.host, address.port) end
    local client = (type(unix) == "table" and unix.stream or unix)()
    local ok, problem = client:connect(address.socket)
    if not ok then
        client:close()
        return nil, problem
    end
    return client
end

local function head(path, opts)
    local lines = { ("%s %s HTTP/1.1"):format(opts.method or (opts.body and "POST" or "GET"), path), "Host: localhost",
        "Connection: close" }
    for name, value in pairs(opts.headers or {}) do lines[#lines + 1] = ("%s: %s"):format(name, value) end
    if opts.body then lines[#lines + 1] = "Content-Length: " .. #opts.body end
    return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (opts.body or "")
end

--- Sends a request, without waiting for its answer.
function http.send(address, path, opts)
    opts = opts or {}
    local began = socket.gettime()
    local client, problem = connect(address)
    local request = setmetatable({ began = began, limit = began + (opts.timeout or PATIENCE), parts = {} }, Request)
    if not client then return request:finish { problem = problem } end
    request.client = client
    client:settimeout(opts.timeout or PATIENCE)
    local sent
    sent, problem = client:send(head(path, opts))
    client:settimeout(0)
    return sent and request or request:finish { problem = problem }
end

function Request:finish(result)
    result.seconds = socket.gettime() - self.began
    self.result = result
    self:abort()
    return self
end

--- Closes the connection, whatever comes.
function Request:abort()
    if self.client then self.client:close() end
    self.client = nil
end

local function unchunk(text)
    local parts, at = {}, 1
    while true do
        local size, from = text:match("^(%x+)[^\r\n]*\r\n()", at)
        if not size then return nil end
        local length = tonumber(size, 16)
        if length == 0 then return table.concat(parts) end
        parts[#parts + 1] = text:sub(from, from + length - 1)
        at = from + length + 2
    end
end

local function parse(text)
    local first, at = text:match "^HTTP/1%.%d (%d%d%d)[^\r\n]*\r\n()"
    local last, body_at = text:match("()\r\n\r\n()", at and at - 2)
    if not at or not last then return { problem = "closed", text = text } end
    local headers = {}
    for name, value in text:sub(at, last + 1):gmatch "([^:\r\n]+):%s*([^\r\n]*)" do headers[name:lower()] = value end
    local body = text:sub(body_at)
    if headers["transfer-encoding"] == "chunked" then body = unchunk(body) end
    local length = tonumber(headers["content-length"])
    local whole = body and (not length or #body == length)
    return { status = tonumber(first), headers = headers, body = body, problem = not whole and "closed" or nil }
end

local function read(request)
    local data, problem, rest = request.client:receive(65536)
    request.parts[#request.parts + 1] = data or rest
    if problem == "closed" then
        request:finish(parse(table.concat(request.parts)))
    elseif problem and problem ~= "timeout" then
        request:finish { problem = problem }
    end
end

--- Waits until every one of the requests is answered, or its time is over.
function http.wait(requests)
    while true do
        local waiting, by_client, limit = {}, {}, math.huge
        for _, request in ipairs(requests) do
            if request.client then
                waiting[#waiting + 1] = request.client
                by_client[request.client] = request
                limit = math.min(limit, request.limit)
            end
        end
        if #waiting == 0 then break end
        for _, client in ipairs((socket.select(waiting, nil, math.max(limit - socket.gettime(), 0)))) do
            read(by_client[client])
        end
        local now = socket.gettime()
        for _, request in pairs(by_client) do
            if request.client and now >= request.limit then request:finish { problem = "timeout" } end
        end
    end
    local results = {}
    for i, request in ipairs(requests) do results[i] = request.result or { problem = "aborted" } end
    return results
end

--- Sends all requests, then waits for all answers.
function http.many(address, list)
    local requests = {}
    for i, item in ipairs(list) do
        if type(item) == "string" then item = { item } end
        requests[i] = http.send(address, item[1], item)
    end
    return http.wait(requests)
end

function http.get(address, path, opts)
    return http.wait({ http.send(address, path, opts) })[1]
end

return http
