--- Makes one file of those that have run. It holds them as they are, one behind the other, and names them, so that
--- other databases know what it stands for: where they have run it counts as run.
local compat = require("heddle.compat")
local failure = require("heddle.migrations.failure")
local files = require("heddle.migrations.files")
local names = require("heddle.migrations.names")
local options = require("heddle.options")
local record = require("heddle.migrations.record")
local run = require("heddle.migrations.run")
local states = require("heddle.migrations.states")
local text = require("heddle.migrations.text")
local write = require("heddle.migrations.write")

local rollup = {}

-- Runs of neighbours that are alike: what runs without a transaction is not mixed with what runs in one.
local function groups_of(context, entries)
  local groups = {}
  for _, entry in ipairs(entries) do
    entry.loaded = files.load(entry, context)
    local group = groups[#groups]
    local transaction = entry.loaded.up.transaction
    if not group or group.transaction ~= transaction then
      group = { transaction = transaction }
      groups[#groups + 1] = group
    end
    group[#group + 1] = entry
  end
  local several = {}
  for _, group in ipairs(groups) do
    if #group > 1 then several[#several + 1] = group end
  end
  return several
end

local function script_of(sql)
  return sql:find("%S") and "function(m) m:sql " .. text.long(sql) .. " end," or "function() end,"
end

-- The text of a file as an expression that gives what the file does.
local function part_of(entry)
  if entry.kind == "sql" then
    local lines = { "  { -- " .. entry.name, "    up = " .. script_of(entry.text) }
    if entry.down_text then lines[3] = "    down = " .. script_of(entry.down_text) end
    lines[#lines + 1] = "  },"
    return table.concat(lines, "\n")
  end
  local code = entry.text:gsub("^\239\187\191", ""):gsub("^#[^\n]*", ""):gsub("%s+$", "")
  return ("  (function(...) -- %s\n%s\n  end)(%q),"):format(entry.name, code, entry.name)
end

local function text_of(context, group)
  local lines, has_down = {}, true
  for _, entry in ipairs(group) do
    lines[#lines + 1] = "-- heddle: replaces=" .. entry.name
    has_down = has_down and entry.loaded.down ~= nil
  end
  lines[#lines + 1] = "local parts = {"
  for _, entry in ipairs(group) do lines[#lines + 1] = part_of(entry) end
  lines[#lines + 1] = "}\n\nreturn {"
  lines[#lines + 1] = ("  context = %q,"):format(context.name)
  if not group.transaction then lines[#lines + 1] = "  transaction = false," end
  lines[#lines + 1] = "\n  up = function(m)\n    for i = 1, #parts do parts[i].up(m) end\n  end,"
  if has_down then
    lines[#lines + 1] = "\n  down = function(m)\n    for i = #parts, 1, -1 do parts[i].down(m) end\n  end,"
  end
  lines[#lines + 1] = "}\n"
  return table.concat(lines, "\n")
end

-- In the place of the last of them, under a name that is nobody's.
local function write_group(context, group, words)
  local directory, stamp = files.directory(context), group[#group].name:sub(1, 14)
  local made_text, count = text_of(context, group), 1
  while true do
    local name = stamp .. "_" .. words .. (count > 1 and "_" .. count or "")
    local path = directory .. "/" .. name .. ".lua"
    if write.new(path, made_text, context.name) then
      local replaces = {}
      for i, entry in ipairs(group) do replaces[i] = entry.name end
      return { name = name, path = path, replaces = replaces }
    end
    count = count + 1
  end
end

local function check_order(context, entries)
  local waiting
  for _, entry in ipairs(entries) do
    if entry.state == "pending" then
      waiting = waiting or entry
    elseif waiting then
      failure.raise(waiting, context.name, ("is pending and stands in front of '%s', which has run: run it first")
        :format(entry.name))
    end
  end
end

-- The record says it in one transaction.
local function adopt(session, made)
  local context = session.context
  local listed = files.list(files.directory(context), context.name)
  session:begin()
  for _, item in ipairs(made) do
    record.adopt(session, { name = item.name, checksum = names.find(listed, item.name, context.name).checksum,
      replaces = item.replaces })
  end
  session:commit()
end

local function roll_up(session, entries, words)
  local context = session.context
  local done = states.of(entries, "done")
  local groups, made = groups_of(context, done), {}
  if #groups == 0 then
    failure.refuse(context.name, "there are not two neighbours that have run, so that there is nothing to roll up")
  end
  local ok, err = compat.pcall(function()
    for i, group in ipairs(groups) do made[i] = write_group(context, group, words) end
    adopt(session, made)
  end)
  if not ok then
    session:rollback()
    for _, item in ipairs(made) do os.remove(item.path) end
    error(err, 0)
  end
  for _, group in ipairs(groups) do
    for _, entry in ipairs(group) do
      os.remove(entry.path)
      if entry.down_path then os.remove(entry.down_path) end
    end
  end
  local last = made[#made]
  return { name = last.name, path = last.path, replaces = last.replaces, files = made }
end

---See heddle.migrator.
---@param migrator table
---@param opts table|nil
---@param inside function
---@return table made
function rollup.rollup(migrator, opts, inside)
  local context = migrator.context
  opts = options.given(opts, { name = options.text }, "migrator:rollup", context.name)
  local words = names.safe(opts.name or "rollup")
  return inside(context, nil, function(session, entries)
    states.check(entries, context.name)
    check_order(context, entries)
    run.adopt(session, entries)
    return roll_up(session, entries, words == "" and "rollup" or words)
  end)
end

return rollup
