--- SQLite's affinity of a declared type: what decides how a column keeps its values.
local affinity = {}

---Usage: `affinity.of("varchar(20)")` is "TEXT"
---@param type string
---@return "INTEGER"|"TEXT"|"BLOB"|"REAL"|"NUMERIC"
function affinity.of(type)
  type = type:upper()
  if type:find("INT", 1, true) then return "INTEGER" end
  if type:find("CHAR", 1, true) or type:find("CLOB", 1, true) or type:find("TEXT", 1, true) then return "TEXT" end
  if type == "" or type:find("BLOB", 1, true) then return "BLOB" end
  if type:find("REAL", 1, true) or type:find("FLOA", 1, true) or type:find("DOUB", 1, true) then return "REAL" end
  return "NUMERIC"
end

return affinity
