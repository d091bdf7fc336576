--- Closes every context and opens one with what is given over a configuration, which stays as it is.
--
--     local instance = reopen(config, { entities = { User } })

local orm = require "heddle"

return function(config, ...)
    orm.close()
    local made = {}
    for _, given in ipairs { config, ... } do
        for key, value in pairs(given) do made[key] = value end
    end
    return orm.init(made)
end
