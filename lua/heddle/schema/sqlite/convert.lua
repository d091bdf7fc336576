--- Values whose column gets a type of another affinity: how each is written in the new one, and which cannot be.
---
--- SQLite would store what does not fit as it is (text in an INTEGER column), or the nearest thing. Here a value is
--- converted when nothing of it is lost, and the change refused otherwise.
local affinity = require("heddle.schema.sqlite.affinity")

local convert = {}

-- What values are made; nil where they stay as they are.
local function made_of(type)
  if type == "" or type:upper() == "ANY" then return nil end
  return affinity.of(type)
end

-- `x` stands for the value; BINARY, because a column's own collation could take two texts for one.
local ways = {}

ways.INTEGER = {
  sql = "CAST(x AS INTEGER)",
  fits = [[CASE typeof(x) WHEN 'integer' THEN 1 WHEN 'real' THEN x = CAST(x AS INTEGER)
    WHEN 'text' THEN CAST(CAST(x AS INTEGER) AS TEXT) COLLATE BINARY = CAST(x AS TEXT)
      OR CAST(x AS TEXT) GLOB CAST(CAST(x AS INTEGER) AS TEXT) || '.0*'
        AND ltrim(substr(x, length(CAST(CAST(x AS INTEGER) AS TEXT)) + 2), '0') = ''
    ELSE 0 END]],
  what = "no integers",
}
ways.REAL = {
  sql = "CAST(x AS REAL)",
  fits = [[CASE typeof(x) WHEN 'real' THEN 1 WHEN 'integer' THEN x BETWEEN -9007199254740992 AND 9007199254740992
    WHEN 'text' THEN (x GLOB '[0-9]*' OR x GLOB '-[0-9]*') AND substr(x, 2) NOT GLOB '*[^0-9.]*' AND x NOT GLOB '*.'
      AND x NOT GLOB '*.*.*' AND length(replace(replace(x, '.', ''), '-', '')) <= 15
    ELSE 0 END]],
  what = "no numbers that a REAL holds exactly",
}
ways.TEXT = {
  sql = [[CASE WHEN typeof(x) = 'real' AND CAST(CAST(x AS TEXT) AS REAL) <> x THEN printf('%!.17g', x)
    ELSE CAST(x AS TEXT) END]],
  fits = [[typeof(x) <> 'blob' OR length(CAST(x AS TEXT)) = length(x)
    AND CAST(x AS TEXT) NOT GLOB '*[^' || char(1) || '-' || char(127) || ']*']],
  what = "bytes beyond ASCII",
}
ways.BLOB = {
  sql = "CASE typeof(x) WHEN 'text' THEN CAST(x AS BLOB) ELSE x END",
  fits = "typeof(x) IN ('blob', 'text')",
  what = "neither text nor bytes",
}

local function over(text, value)
  return (text:gsub("%s+", " "):gsub("%f[%w_]x%f[^%w_]", function() return value end))
end

---How a value gets into a column of another type.
---@param value string SQL
---@param was string declared type
---@param now string
---@return string sql of the new value
---@return string|nil misfit SQL that is true for values that do not fit; nil when all do
---@return string|nil what they are called
function convert.of(value, was, now)
  local kind = made_of(now)
  local way = ways[kind]
  if not way or made_of(was) == kind then return value end
  return over(way.sql, value), over("x IS NOT NULL AND NOT (" .. way.fits .. ")", value), way.what
end

return convert
