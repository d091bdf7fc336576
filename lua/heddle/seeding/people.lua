--- People, places and addresses of fake data. Mail and web addresses are under names that are set aside for examples,
--- phone numbers in a range that nobody has.
local fake = require("heddle.seeding.fake")
local lists = require("heddle.seeding.words")

local Fake = fake.class

---@return string
function Fake:first_name()
  return self:pick(lists.first_names)
end

---@return string
function Fake:last_name()
  return self:pick(lists.last_names)
end

---@return string "Clara Novak"
function Fake:name()
  return self:first_name() .. " " .. self:last_name()
end

---@return string "clara.novak482"
function Fake:username()
  return ("%s.%s%d"):format(self:first_name(), self:last_name(), self:integer(1, 9999)):lower()
end

---@param name? string whose address, default anybody's
---@return string "clara.novak482@example.org"
function Fake:email(name)
  local user = name and name:lower():gsub("[^%w]+", "."):gsub("^%.", ""):gsub("%.$", "") .. self:integer(1, 9999)
    or self:username()
  return user .. "@" .. self:domain()
end

---@return string
function Fake:domain()
  return self:pick(lists.domains)
end

---@return string "https://www.example.org/silver/bridge"
function Fake:url()
  return ("https://www.%s/%s/%s"):format(self:domain(), self:word(), self:word())
end

---@return string an IPv4 address of a private network
function Fake:ip()
  return ("10.%d.%d.%d"):format(self:integer(0, 255), self:integer(0, 255), self:integer(1, 254))
end

---@return string "+1 555 0123 456"
function Fake:phone()
  return ("+1 555 01%02d %03d"):format(self:integer(0, 99), self:integer(0, 999))
end

---@return string
function Fake:city()
  return self:pick(lists.cities)
end

---@return string
function Fake:country()
  return self:pick(lists.countries)
end

---@return string "12 Maple Lane"
function Fake:street()
  local word = self:word()
  return ("%d %s %s"):format(self:integer(1, 250), word:sub(1, 1):upper() .. word:sub(2), self:pick(lists.streets))
end

---@return string "04217"
function Fake:postcode()
  return ("%05d"):format(self:integer(1000, 99999))
end

---@return string "12 Maple Lane, 04217 Seabrook"
function Fake:address()
  return ("%s, %s %s"):format(self:street(), self:postcode(), self:city())
end

---@return string "Novak Textiles Ltd"
function Fake:company()
  return ("%s %s %s"):format(self:last_name(), self:pick(lists.trades), self:pick(lists.company_forms))
end

---@return string
function Fake:job()
  return self:pick(lists.jobs)
end

return Fake
