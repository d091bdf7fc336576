--- Heddle with a listener that nothing of these workloads calls: what it costs that somebody could be listening.

local heddle = require "bench.contenders.heddle"

local hooked = setmetatable({ name = "Heddle, hook", only_hooked = true }, { __index = heddle })
hooked.__index = hooked

local function never()
  error("nothing is deleted here", 0)
end

function hooked.open(source, besides)
  local handle, instance = heddle.open(source, besides, "hooked")
  instance:on("before_delete", never)
  return setmetatable(handle, hooked)
end

return hooked
