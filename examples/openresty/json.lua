-- JSON in and out. A list says that it is one (`json.list`): an empty Lua table could be an object as well.
local cjson = require("cjson.safe")

local json = {}

local is_list = {}

function json.list(items)
  return setmetatable(items, is_list)
end

function json.encode(value)
  if type(value) ~= "table" then return cjson.encode(value) end
  local parts = {}
  if getmetatable(value) == is_list then
    for i, item in ipairs(value) do parts[i] = json.encode(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for name, item in pairs(value) do parts[#parts + 1] = cjson.encode(name) .. ":" .. json.encode(item) end
  return "{" .. table.concat(parts, ",") .. "}"
end

---The object that the request's body holds.
function json.body()
  ngx.req.read_body()
  local data = cjson.decode(ngx.req.get_body_data() or "")
  if type(data) == "table" then return data end
  error({ status = 400, kind = "bad_request", message = "The body is no JSON object" }, 0)
end

return json
