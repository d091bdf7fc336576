--- Files that a pattern matches: "entities/*.lua", "**/*_entity.lua".
local lfs = require("lfs")

local glob = {}

-- "*" and "?" stay within one name and, as in a shell, do not match a leading dot.
local function to_lua_pattern(segment)
  local pattern = segment:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".")
  return "^" .. pattern .. "$"
end

local function names_in(directory)
  local names = {}
  local mode = lfs.attributes(directory == "" and "." or directory, "mode")
  if mode ~= "directory" then return names end
  for name in lfs.dir(directory == "" and "." or directory) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local walk

-- "**" is any number of directories, none included; a link to a directory is not followed.
local function walk_deep(directory, segments, at, found)
  walk(directory, segments, at + 1, found)
  for _, name in ipairs(names_in(directory)) do
    local path = directory .. name
    if name:sub(1, 1) ~= "." and lfs.symlinkattributes(path, "mode") == "directory" then
      walk_deep(path .. "/", segments, at, found)
    end
  end
end

function walk(directory, segments, at, found)
  local segment, last = segments[at], at == #segments
  if segment == "**" and not last then return walk_deep(directory, segments, at, found) end
  local names = { segment }
  if segment:find("[*?]") then
    names = {}
    local pattern = to_lua_pattern(segment)
    for _, name in ipairs(names_in(directory)) do
      if name:find(pattern) and (name:sub(1, 1) ~= "." or segment:sub(1, 1) == ".") then names[#names + 1] = name end
    end
  end
  for _, name in ipairs(names) do
    local path = directory .. name
    if last then
      if lfs.attributes(path, "mode") == "file" then found[#found + 1] = path end
    elseif lfs.attributes(path, "mode") == "directory" then
      walk(path .. "/", segments, at + 1, found)
    end
  end
end

---The files that a pattern matches, sorted within each directory.
---@param pattern string "*" and "?" within a name, "**" for any directories
---@param base_dir string|nil where a relative pattern begins
---@return string[] paths
function glob.files(pattern, base_dir)
  local directory = (base_dir and base_dir ~= "") and (base_dir .. "/") or ""
  if pattern:sub(1, 1) == "/" then directory = "/" end
  local segments, found = {}, {}
  for segment in pattern:gmatch("[^/]+") do segments[#segments + 1] = segment end
  walk(directory, segments, 1, found)
  return found
end

return glob
