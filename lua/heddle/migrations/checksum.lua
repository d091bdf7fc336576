--- The checksum of a migration's text, by which an edit is seen. It stands in databases, so it never changes: two
--- polynomials over the bytes, modulo primes that leave every product exact in a double. Line ends count as one, so
--- that a checkout on another system is no edit.
local M1, P1 = 1000003, 2147483647
local M2, P2 = 805459, 2147483629

---Usage: `checksum(text)` gives "01a2b3c41f00d5e6"
---@param text string
---@return string
return function(text)
  text = text:gsub("\r\n?", "\n")
  local a, b = #text % P1, 1
  for i = 1, #text - 1, 2 do
    local high, low = text:byte(i, i + 1)
    local pair = high * 256 + low
    a, b = (a * M1 + pair) % P1, (b * M2 + pair) % P2
  end
  if #text % 2 == 1 then
    local last = text:byte(#text)
    a, b = (a * M1 + last) % P1, (b * M2 + last) % P2
  end
  return ("%08x%08x"):format(a, b)
end
