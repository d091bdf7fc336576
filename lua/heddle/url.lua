--- Database addresses: `postgres://user:pass@host:5432/app?sslmode=require`, `sqlite:app.db`.
---
--- An address may hold a password, so that no message repeats any part of it.
local url = {}

local schemes = { postgres = "postgres", postgresql = "postgres", sqlite = "sqlite" }

-- Decodes %41; nil where a percent sign is followed by anything else, or by %00.
local function decode(text)
  local right = true
  local decoded = text:gsub("%%(.?.?)", function(digits)
    if not digits:match("^%x%x$") or digits == "00" then right = false end
    return right and string.char(tonumber(digits, 16)) or ""
  end)
  return right and decoded or nil
end

-- "a:1,[::1],b" -> hosts "a,::1,b", ports "1,,": libpq's lists, empty when there is nothing to list.
local function read_hosts(text)
  local hosts, ports, has_port = {}, {}, false
  for part in (text .. ","):gmatch("([^,]*),") do
    local host, port = part:match("^%[([%x:.]+)%]:?(%d*)$")
    if not host then host, port = part:match("^([^:%[%]]*):?(%d*)$") end
    host = host and decode(host)
    if not host then return nil end
    hosts[#hosts + 1], ports[#ports + 1] = host, port
    has_port = has_port or port ~= ""
  end
  return table.concat(hosts, ","), has_port and table.concat(ports, ",") or ""
end

local function read_query(text, into)
  for pair in text:gmatch("[^&]+") do
    local key, value = pair:match("^([%w_.]+)=(.*)$")
    value = value and decode(value)
    if not value then return false end
    into[key] = value
  end
  return true
end

local function filled(text)
  return text ~= "" and text or nil
end

local function parse_postgres(rest)
  local authority, path, query = rest:match("^//([^/?]*)/?([^?]*)%??(.*)$")
  if not authority then return nil, "it does not begin with postgres://" end
  local userinfo, hosts = authority:match("^(.*)@(.*)$")
  local user, password = (userinfo or ""):match("^([^:]*):?(.*)$")
  user, password = decode(user), decode(password)
  local host, port = read_hosts(hosts or authority)
  local database = decode(path)
  local parsed = { driver = "postgres", query = {} }
  if not (user and password and host and database and read_query(query, parsed.query)) then
    return nil, "write postgres://user:password@host:port/database?option=value, other characters as %XX"
  end
  parsed.user, parsed.password, parsed.host = filled(user), filled(password), filled(host)
  parsed.port, parsed.database = filled(port), filled(database)
  return parsed
end

-- What follows "sqlite:" is the path; a "//" before it is decoration, "///" begins an absolute path.
local function parse_sqlite(rest)
  local path, query = rest:match("^([^?]*)%??(.*)$")
  local parsed = { driver = "sqlite", query = {} }
  parsed.database = decode((path:gsub("^//", "")))
  if not parsed.database or parsed.database == "" or not read_query(query, parsed.query) then
    return nil, "write sqlite:path, sqlite:///absolute/path or sqlite::memory:"
  end
  return parsed
end

---Reads an address.
---@param text string
---@return table|nil parsed { driver, host, port, database, user, password, query }
---@return string|nil problem
function url.parse(text)
  local scheme, rest = text:match("^(%a[%w+.-]*):(.*)$")
  local driver = scheme and schemes[scheme:lower()]
  if driver == "postgres" then return parse_postgres(rest) end
  if driver == "sqlite" then return parse_sqlite(rest) end
  return nil, "it begins with none of postgres:, postgresql:, sqlite:"
end

return url
