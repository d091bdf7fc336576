--- Names as a person would choose them: of a table the entity, of a column the property, of several one.
local naming = require("heddle.naming")

local words = {}

-- What the rules below would get wrong, or have no rule for. Plural first.
local irregular = {
  people = "person", children = "child", men = "man", women = "woman", mice = "mouse", geese = "goose",
  feet = "foot", teeth = "tooth", oxen = "ox", data = "data", media = "media", news = "news",
  series = "series", species = "species", sheep = "sheep", fish = "fish", staff = "staff",
  equipment = "equipment", information = "information", money = "money", settings = "settings",
  leaves = "leaf", lives = "life", wives = "wife", knives = "knife", wolves = "wolf", halves = "half",
  shelves = "shelf", selves = "self", thieves = "thief", loaves = "loaf",
  indices = "index", vertices = "vertex", matrices = "matrix", criteria = "criterion", movies = "movie",
  heroes = "hero", potatoes = "potato", tomatoes = "tomato", echoes = "echo", aliases = "alias",
  cookies = "cookie", caches = "cache", axes = "axis", diagnoses = "diagnosis", crises = "crisis", ties = "tie",
  pies = "pie", lies = "lie",
}
local plurals = {}
for plural, singular in pairs(irregular) do plurals[singular] = plural end

-- Applies `change` to the last word of a name in snake_case.
local function last(name, change)
  local head, word = name:match("^(.*_)([^_]+)$")
  return (head or "") .. change(word or name)
end

local function singular(word)
  if irregular[word] then return irregular[word] end
  if plurals[word] or #word < 4 then return word end
  if word:find("[^aeiou]ies$") then return (word:gsub("ies$", "y")) end
  for _, ending in ipairs({ "sses", "shes", "ches", "xes", "zzes", "uses" }) do
    if word:sub(-#ending) == ending then return (word:gsub("es$", "")) end
  end
  if word:find("ss$") or word:find("us$") or word:find("is$") or not word:find("s$") then return word end
  return (word:gsub("s$", ""))
end

local function plural(word)
  if plurals[word] then return plurals[word] end
  if irregular[word] then return word end
  if singular(word) ~= word then return word end
  if word:find("[^aeiou]y$") then return (word:gsub("y$", "ies")) end
  if word:find("s$") or word:find("x$") or word:find("sh$") or word:find("ch$") or word:find("z$") then
    return word .. "es"
  end
  return word .. "s"
end

---Usage: `words.singular("sales_people")` is "sales_person"
---@param name string in snake_case
---@return string
function words.singular(name)
  return last(name, singular)
end

---Usage: `words.plural("film_category")` is "film_categories"
---@param name string in snake_case
---@return string
function words.plural(name)
  return last(name, plural)
end

---Usage: `words.pascal("film_category")` is "FilmCategory"
---@param name string in snake_case
---@return string
function words.pascal(name)
  return (name:gsub("_*([^_]+)_*", function(word) return word:sub(1, 1):upper() .. word:sub(2) end))
end

-- In snake_case and fit for a property; nil where nothing is left.
local function identifier(name)
  name = naming.snake_case(name):gsub("^_+", ""):gsub("_+$", ""):gsub("__+", "_")
  if name == "" then return nil end
  return name:find("^%d") and "_" .. name or name
end

---A property's name for a column. Usage: `words.property("UnitPrice")` is "unit_price"
---@param column string
---@return string
function words.property(column)
  return identifier(column) or "value"
end

---An entity's name for a table. Usage: `words.entity("film_categories")` is "FilmCategory"
---@param table_name string
---@return string
function words.entity(table_name)
  local name = words.pascal(words.singular(identifier(table_name) or "Entity"))
  return name:find("^%d") and "T" .. name or name
end

---The name of what an entity's instances are, as a property has it: "film_category".
---@param entity string
---@return string
function words.of_entity(entity)
  return identifier(entity) or "value"
end

---A relation's name for the column that holds its key: "artist_id" is "artist"; nil where nothing would be left.
---@param column string
---@param target_column string the key that it holds
---@return string|nil
function words.relation(column, target_column)
  local name = identifier(column)
  if not name then return nil end
  for _, suffix in ipairs({ "id", identifier(target_column), "key", "fk" }) do
    local head = suffix and name:match("^(.+)_" .. suffix:gsub("%p", "%%%0") .. "$")
    if head then return head end
  end
  return name
end

---What all columns of a key have in front of those that they refer to: "up" of "up_a", "up_b"; nil where they have not.
---@param columns string[]
---@param target_columns string[]
---@return string|nil
function words.common(columns, target_columns)
  local found
  for i, column in ipairs(columns) do
    local name, tail = identifier(column) or "", "_" .. (identifier(target_columns[i]) or "")
    local head = #name > #tail and name:sub(-#tail) == tail and name:sub(1, -#tail - 1) or nil
    if not head or found and head ~= found then return nil end
    found = head
  end
  return found
end

---The first of some names that is free, else the first with a number; takes it.
---@param taken table<string, any>
---@param names string[]
---@param owner any what takes it
---@return string name
function words.free(taken, names, owner)
  for _, name in ipairs(names) do
    if not taken[name] then
      taken[name] = owner
      return name
    end
  end
  local count = 2
  while taken[names[1] .. "_" .. count] do count = count + 1 end
  taken[names[1] .. "_" .. count] = owner
  return names[1] .. "_" .. count
end

return words
