--- A sensible value for a property: by its name where that says something, else by its type.
local errors = require("heddle.errors")

local guess = {}

-- Ends of names, and what makes their values; the first one that fits.
local by_name = {
  { "first_name" }, { "last_name" }, { "surname", "last_name" }, { "username" }, { "user_name", "username" },
  { "login", "username" }, { "company_name", "company" }, { "file_name", "slug" }, { "name" }, { "author", "name" },
  { "email_address", "email" }, { "email" }, { "mail", "email" }, { "ip_address", "ip" }, { "ip" },
  { "street_address", "street" }, { "street" }, { "address" }, { "phone_number", "phone" }, { "phone" },
  { "mobile", "phone" }, { "website", "url" }, { "url" }, { "link", "url" }, { "host", "domain" }, { "domain" },
  { "city" }, { "town", "city" }, { "country" }, { "zip", "postcode" }, { "zip_code", "postcode" },
  { "postal_code", "postcode" }, { "postcode" }, { "company" }, { "organisation", "company" },
  { "organization", "company" }, { "job", "job" }, { "profession", "job" }, { "color" }, { "colour", "color" },
  { "slug" }, { "title" }, { "subject", "title" }, { "summary", "sentence" }, { "headline", "title" },
  { "description", "paragraph" }, { "bio", "paragraph" }, { "body", "paragraphs" }, { "content", "paragraphs" },
  { "comment", "sentence" }, { "note", "sentence" }, { "text", "paragraph" }, { "message", "sentence" },
  { "uuid" }, { "token", "uuid" }, { "password", "uuid" },
}

-- "billing_city" is a city, "velocity" is none.
local function maker_of(name)
  for _, entry in ipairs(by_name) do
    local word = entry[1]
    if name == word or name:sub(-#word - 1) == "_" .. word then return entry[2] or word end
  end
end

-- Cut to a length in bytes, which are characters here: the lists hold no others.
local function fit(text, length)
  if not length or #text <= length then return text end
  return (text:sub(1, length):gsub("[%s%p]+$", ""))
end

-- Text that holds the number n and still fits.
local function numbered(text, length, n)
  local user, host = text:match("^(.-)(@.*)$")
  local ending = user and (n .. host) or ("-" .. n)
  local start = user and user .. "." or text
  if length and #start + #ending > length then
    if #ending > length then ending = fit(tostring(n), nil) end
    start = start:sub(1, math.max(length - #ending, 0))
  end
  return start .. ending
end

local makers = {}

function makers.string(prop, fake, n)
  local maker = maker_of(prop.name)
  local text = maker and fake[maker](fake) or fake:words(2)
  return n and numbered(text, prop.length, n) or fit(text, prop.length)
end

function makers.text(prop, fake, n)
  local maker = maker_of(prop.name)
  local text = maker and fake[maker](fake) or fake:paragraph()
  return n and numbered(text, nil, n) or text
end

function makers.smallint(_, fake, n)
  return n or fake:integer(0, 100)
end

function makers.integer(prop, fake, n)
  local name = prop.name
  if n then return n end
  if name == "age" then return fake:integer(18, 90) end
  if name == "year" or name:find("_year$") then return fake:integer(1990, 2024) end
  return fake:integer(0, 10000)
end

makers.bigint = makers.integer

function makers.double(_, fake, n)
  return n and n + 0.5 or fake:integer(0, 100000) / 100
end

-- Halves and quarters stand exactly in four bytes too.
function makers.float(_, fake, n)
  return n or fake:integer(0, 4000) / 4
end

function makers.decimal(prop, fake, n)
  local scale = prop.scale or 2
  if not n then
    -- The digits that a double can count; the database writes the rest.
    local digits = math.min(scale, 6)
    return fake:decimal(0, math.min(10 ^ ((prop.precision or 9) - scale) - 10 ^ -digits, 1000), digits)
  end
  -- From the last digit on, so that a small precision has room for many.
  local digits = ("%0" .. (scale + 1) .. "d"):format(n)
  return scale == 0 and digits or digits:sub(1, -scale - 1) .. "." .. digits:sub(-scale)
end

function makers.boolean(_, fake, n)
  if n then return n % 2 == 1 end
  return fake:boolean()
end

function makers.uuid(_, fake)
  return fake:uuid()
end

function makers.json(_, fake, n)
  local value = fake:json()
  if n then value.count = n end
  return value
end

function makers.timestamp(prop, fake, n)
  local value = n and 1577836800 + n or fake:timestamp()
  if prop.as == "iso8601" then return require("heddle.date").format("!%Y-%m-%dT%H:%M:%SZ", value) end
  return value
end

function makers.date(_, fake, n)
  return n and require("heddle.seeding.calendar").iso(18262 + n) or fake:date()
end

function makers.time(_, fake, n)
  if not n then return fake:time() end
  local second = n % 86400
  return ("%02d:%02d:%02d"):format(math.floor(second / 3600), math.floor(second / 60) % 60, second % 60)
end

function makers.blob(_, fake, n)
  return (n and (n .. "\0") or "") .. fake:bytes(16)
end

function makers.enum(prop, fake, n)
  return n and prop.enum[(n - 1) % #prop.enum + 1] or fake:pick(prop.enum)
end

function makers.array(prop, fake, n)
  local items, item = {}, { name = "", type = prop.array_of, length = prop.length, precision = prop.precision,
    scale = prop.scale }
  for i = 1, n and 1 or fake:integer(1, 3) do items[i] = makers[prop.array_of](item, fake, n) end
  return items
end

---A value of a property; nil where nobody can know one and none is needed.
---@param definition table
---@param prop table
---@param fake heddle.Fake
---@param n integer|nil then no other number gives the same value, as far as the type has so many
---@return any
function guess.value(definition, prop, fake, n)
  local maker = makers[prop.type]
  if not maker then
    if prop.nullable then return nil end
    errors.raise("metadata", ("Factory of %s: nothing is known of the type of '%s'; give its values, as in "
      .. "orm.factory.auto(%s, function(fake, n) return { %s = ... } end)"):format(definition.name, prop.name,
      definition.name, prop.name), { entity = definition.name, property = prop.name })
  end
  local value = maker(prop, fake, n)
  if prop.as == "string" then value = tostring(value) end
  if prop.custom and prop.custom.from_db then return prop.custom.from_db(value) end
  return value
end

return guess
