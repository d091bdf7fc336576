-- What is done for one interpreter alone.
local orm = require("heddle")
local row_copy = require("heddle.row_copy")

local affected = rawget(_G, "jit") and jit.version == "LuaJIT 2.1.0-beta3" and jit.arch == "x64"

-- Where the traces begin that are compiled while `fn` runs often.
local function compiled(fn)
  local util, places = require("jit.util"), {}
  local function note(what, _, func, pc)
    if what == "start" then places[#places + 1] = util.funcinfo(func, pc).loc end
  end
  jit.attach(note, "trace")
  for _ = 1, 1000 do fn() end
  jit.attach(note)
  return table.concat(places, " ")
end

describe("compat", function()
  it("loops over pairs are left to the interpreter where LuaJIT compiles them wrongly", function()
    local before, now = { a = 1, b = 2 }, { a = 1, b = 3 }
    local changes = {}
    row_copy.compare(changes, nil, before, now)
    assert.equal("b", changes[1].name)
    assert.is_table(orm.op)
    if not affected then return end
    assert.is_nil(compiled(function() row_copy.compare({}, nil, before, now) end):find("row_copy", 1, true))
    assert.is_truthy(compiled(function()
      local sum = 0
      for i = 1, 100 do sum = sum + i end
      return sum
    end):find("compat_spec", 1, true))
  end)
end)
