--- What is pending in contexts that a command did not act on.
local errors = require("heddle.errors")
local output = require("heddle.cli.output")
local report = require("heddle.cli.report")

local pending = {}

local function tell_one(app, instance, list)
  local waiting = 0
  for _, one in ipairs(list) do
    if one.state == "pending" then waiting = waiting + 1 end
  end
  local dim = app.err_style.dim
  if waiting < #list then
    app:warn("context '%s': %s edited, missing or broken off; heddle migrate:status --context %s", instance.name,
      output.count(#list - waiting, "migration"), instance.name)
  end
  if waiting > 0 then
    app:note("%s", dim(("context '%s': %s pending; heddle migrate --context %s, or --all"):format(instance.name,
      output.count(waiting, "migration"), instance.name)))
  end
end

---Tells it, on standard error. One that cannot be asked is told, and is no failure of the command.
---@param app heddle.cli.App
function pending.tell(app)
  for _, instance in ipairs(app:others()) do
    local ok, list = pcall(function() return instance.migrator:pending() end)
    if ok then
      tell_one(app, instance, list)
    elseif report.is_interrupted(list) then
      error(list, 0)
    else
      app:warn("context '%s': what is pending there cannot be said: %s", instance.name,
        errors.is_error(list) and list.message or tostring(list))
    end
  end
end

return pending
