--- Files that commands write.
local files = {}

-- Makes the directories that lead to a file.
local function make_directories(app, path)
  local lfs = require("lfs")
  local at = path:sub(1, 1) == "/" and "/" or ""
  for part in path:gmatch("([^/]+)/") do
    at = at .. part .. "/"
    if lfs.attributes(at, "mode") == nil then
      local ok, problem = lfs.mkdir(at)
      if not ok then app:fail("the directory '%s' cannot be made: %s", at, problem) end
    end
  end
end

---Writes a file, and makes the directories that lead to it. Ends the command where that cannot be done.
---@param app heddle.cli.App
---@param path string
---@param text string
function files.write(app, path, text)
  make_directories(app, path)
  local file, problem = io.open(path, "wb")
  if not file then app:fail("the file '%s' cannot be written: %s", path, problem) end
  local ok, why = file:write(text)
  local closed, late = file:close()
  if not (ok and closed) then app:fail("the file '%s' cannot be written: %s", path, why or late) end
end

return files
