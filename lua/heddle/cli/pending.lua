--- What is pending in contexts that a command did not act on.
local errors = require("heddle.errors")
local output = require("heddle.cli.output")

local pending = {}

---Tells it, on standard error. One that cannot be asked is told, and is no failure of the command.
---@param app heddle.cli.App
function pending.tell(app)
  for _, instance in ipairs(app:others()) do
    local ok, list = pcall(function() return instance.migrator:pending() end)
    if not ok then
      app:warn("context '%s': what is pending there cannot be said: %s", instance.name,
        errors.is_error(list) and list.message or tostring(list))
    elseif #list > 0 then
      app:note("%s", app.err_style.dim(("context '%s': %s pending; heddle migrate --context %s, or --all"):format(
        instance.name, output.count(#list, "migration"), instance.name)))
    end
  end
end

return pending
