--- Writing files so that nobody ever sees a half of one, and none is overwritten.
local failure = require("heddle.migrations.failure")
local files = require("heddle.migrations.files")

local write = {}

local function fail(context_name, path, problem)
  failure.refuse(context_name, ("'%s' cannot be written: %s"):format(path, tostring(problem)), { file = path })
end

---Makes a directory with those above it.
function write.directory(path, context_name)
  local lfs = files.lfs(context_name)
  local made = path:sub(1, 1) == "/" and "/" or ""
  for part in path:gmatch("[^/]+") do
    made = made .. part
    if lfs.attributes(made, "mode") ~= "directory" then
      local ok, problem = lfs.mkdir(made)
      -- Somebody else may have been faster.
      if not ok and lfs.attributes(made, "mode") ~= "directory" then fail(context_name, made, problem) end
    end
    made = made .. "/"
  end
end

local count = 0

-- A file beside the one that it is going to be, under a name that is nobody else's.
local function temporary(path, text, context_name)
  count = count + 1
  local name = ("%s.%s.%d.tmp"):format(path:gsub("([^/]+)$", ".%1"), tostring({}):match("%w+$"), count)
  local file, problem = io.open(name, "wb")
  if not file then fail(context_name, path, problem) end
  local ok
  ok, problem = file:write(text)
  local closed, problem_at_end = file:close()
  if not ok or not closed then
    os.remove(name)
    fail(context_name, path, problem or problem_at_end)
  end
  return name
end

---Writes a new file. False when there is one of that name.
---@return boolean
function write.new(path, text, context_name)
  local lfs = files.lfs(context_name)
  if lfs.attributes(path, "mode") then return false end
  local name = temporary(path, text, context_name)
  -- A second link to it is made only where none of that name is; a file system without links has to be trusted.
  local ok = lfs.link(name, path)
  if ok then
    os.remove(name)
    return true
  end
  if lfs.attributes(path, "mode") then
    os.remove(name)
    return false
  end
  local renamed, problem = os.rename(name, path)
  if renamed then return true end
  os.remove(name)
  return fail(context_name, path, problem)
end

---Puts a file in the place of one that may be there.
function write.replace(path, text, context_name)
  local name = temporary(path, text, context_name)
  local ok, problem = os.rename(name, path)
  if ok then return end
  os.remove(name)
  fail(context_name, path, problem)
end

return write
