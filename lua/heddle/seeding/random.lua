--- Random numbers that are the same for a seed on every interpreter: two multiplicative generators whose difference is
--- the answer. No product reaches 2^53, so that doubles and 64-bit integers compute alike.
local random = {}

local FIRST, SECOND = 2147483563, 2147483399 -- primes
local FIRST_FACTOR, SECOND_FACTOR = 40014, 40692
local COUNT = FIRST - 1

local Random = {}
Random.__index = Random

-- A number as text that no interpreter writes otherwise.
local function text_of(seed)
  return type(seed) == "number" and ("%.17g"):format(seed) or seed
end

-- A state from 1 to modulus - 1. The squares keep near seeds from giving rows of numbers that run beside each other.
local function scatter(text, factor, modulus)
  local state = #text + 1
  local function mix(value)
    local low = state % 65536
    state = (low * low + math.floor(state / 65536) * factor + value) % modulus
  end
  for i = 1, #text do mix(text:byte(i)) end
  for i = 1, 8 do mix(i) end
  return state % (modulus - 1) + 1
end

---@param seed number|string
---@return table
function random.new(seed)
  local text = text_of(seed)
  return setmetatable({ first = scatter(text, 31337, FIRST), second = scatter(text, 27449, SECOND) }, Random)
end

-- A whole number from 0 to COUNT - 1.
function Random:step()
  self.first = self.first * FIRST_FACTOR % FIRST
  self.second = self.second * SECOND_FACTOR % SECOND
  return (self.first - self.second) % COUNT
end

---A number from 0 to 1, 1 excluded; the finest step is 2^-53.
---@return number
function Random:fraction()
  local high = self:step()
  return (high + self:step() / COUNT) / COUNT
end

---A whole number within bounds, both included.
---@param low integer
---@param high integer
---@return integer
function Random:integer(low, high)
  low, high = math.floor(low), math.floor(high)
  -- Nearly 1 can become the whole span by rounding.
  return math.min(low + math.floor(self:fraction() * (high - low + 1)), high)
end

return random
