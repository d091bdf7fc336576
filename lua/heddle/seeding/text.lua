--- Words, sentences and documents of fake data.
local array = require("heddle.array")
local fake = require("heddle.seeding.fake")
local lists = require("heddle.seeding.words")

local Fake = fake.class

local function capital(text)
  return text:sub(1, 1):upper() .. text:sub(2)
end

---@return string
function Fake:word()
  return self:pick(lists.words)
end

---@param count? integer default 3
---@return string words with blanks between them
function Fake:words(count)
  local parts = {}
  for i = 1, count or 3 do parts[i] = self:word() end
  return table.concat(parts, " ")
end

---Some words as a title has them: "Silent Copper Bridge".
---@param count? integer default 3
---@return string
function Fake:title(count)
  local parts = {}
  for i = 1, count or 3 do parts[i] = capital(self:word()) end
  return table.concat(parts, " ")
end

---@param count? integer of words, default 5 to 12
---@return string
function Fake:sentence(count)
  return capital(self:words(count or self:integer(5, 12))) .. "."
end

---@param count? integer of sentences, default 3 to 6
---@return string
function Fake:paragraph(count)
  local parts = {}
  for i = 1, count or self:integer(3, 6) do parts[i] = self:sentence() end
  return table.concat(parts, " ")
end

---Several paragraphs, a blank line between them.
---@param count? integer default 3
---@return string
function Fake:paragraphs(count)
  local parts = {}
  for i = 1, count or 3 do parts[i] = self:paragraph() end
  return table.concat(parts, "\n\n")
end

---Text of at most so many characters.
---@param length? integer default 200
---@return string
function Fake:text(length)
  length = length or 200
  local text = self:sentence()
  while #text < length do text = text .. " " .. self:sentence() end
  return (text:sub(1, length):gsub("%s+$", ""))
end

---"silent-copper-bridge"
---@param count? integer of words, default 3
---@return string
function Fake:slug(count)
  return (self:words(count):gsub(" ", "-"))
end

---@return string
function Fake:color()
  return self:pick(lists.colors)
end

---A small document, for json properties.
---@return table
function Fake:json()
  local tags = {}
  for i = 1, self:integer(0, 3) do tags[i] = self:word() end
  return {
    label = self:words(2), count = self:integer(0, 100), active = self:boolean(), tags = array.new(tags),
    origin = { city = self:city(), date = self:date() },
  }
end

return Fake
