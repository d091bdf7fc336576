--- Rows for whatever tables a context's entities have, written and read over the raw connection.

local model = require "heddle.schema.model"
local quote = require "heddle.quote"
local order = require "heddle.schema.order"
local render = require "heddle.schema.render"

local random_rows = {}

local words = { "it''s ", "", "\"x\" ", "\195\188", "100% ?", "a\\b " }

local counter = 0

-- A value as a literal; texts and numbers differ from row to row.
local function literal(c, driver, random)
    counter = counter % 30000 + 1
    local n = counter
    local is_postgres = driver == "postgres"
    local kind = c.kind
    local function text(value) return "'" .. value .. "'" end
    if kind == "smallint" or kind == "integer" or kind == "bigint" then return tostring(n) end
    if kind == "float" or kind == "double" then return tostring(n) .. ".5" end
    if kind == "decimal" then
        local scale = tonumber((c.scale_of or c.type):match ",(%d)") or 1
        local value = scale > 0 and n .. "." .. ("5"):rep(scale) or tostring(n)
        return is_postgres and value or text(value)
    end
    if kind == "string" then return text(n .. words[random(2)]) end
    if kind == "text" then return text(n .. words[random(#words)]) end
    if kind == "boolean" then
        if is_postgres then return random(2) == 1 and "true" or "false" end
        return tostring(random(2) - 1)
    end
    if kind == "uuid" then return text(("00000000-0000-0000-0000-%012d"):format(n)) end
    if kind == "json" then return text('{"a": [' .. n .. ', "it\'\'s"]}') end
    if kind == "timestamp" then
        return text(("2020-01-%02d 10:00:00"):format(n % 28 + 1) .. (is_postgres and "+00" or ".000000"))
    end
    if kind == "date" then return text(("2020-01-%02d"):format(n % 28 + 1)) end
    if kind == "time" then return text "10:11:12" end
    if kind == "blob" then return is_postgres and "'\\x00ff27'" or "x'00ff27'" end
    if kind == "enum" then return text(random(2) == 1 and "don''t" or "new") end
    if kind == "array" then
        if not is_postgres then return text "[1, 2]" end
        if c.type:find "uuid" then return "'{00000000-0000-0000-0000-000000000001}'" end
        return "'{1,2}'"
    end
    error("no value for " .. tostring(kind))
end

-- The key of a row of the target, nil where it has none.
local function borrow(fk, made, random)
    local rows = made[model.key(fk.table, fk.schema, "")]
    if not rows or #rows == 0 then return nil end
    local row, values = rows[random(#rows)], {}
    for i, name in ipairs(fk.target_columns) do
        values[fk.columns[i]] = row[name]
    end
    return values
end

local function row_of(t, driver, random, made)
    local row = {}
    for _, c in ipairs(t.columns) do
        if not c.generated and (not c.nullable or random(3) > 1) then row[c.name] = literal(c, driver, random) end
    end
    for _, fk in ipairs(t.foreign_keys) do
        local is_own = fk.table == t.name and fk.schema == t.schema
        local values = random(4) > 1 and borrow(fk, made, random)
        local required
        for _, c in ipairs(t.columns) do
            for _, name in ipairs(fk.columns) do required = required or c.name == name and not c.nullable end
        end
        if not values and required and not is_own then values = borrow(fk, made, random) end
        if required and not values then return nil end
        for _, name in ipairs(fk.columns) do row[name] = values and values[name] or nil end
    end
    return row
end

local function insert(raw, t, row)
    local names, values = {}, {}
    for _, c in ipairs(t.columns) do
        if row[c.name] then
            names[#names + 1], values[#values + 1] = quote.name(c.name), row[c.name]
        end
    end
    local sql = "insert into " .. render.table(t) .. (#names > 0 and " (" .. table.concat(names, ", ") .. ") values ("
        .. table.concat(values, ", ") .. ")" or " default values")
    -- A row that a unique key or a check does not take is none.
    return pcall(raw.exec, raw, sql)
end

--- Puts some rows into every table; answers how many.
function random_rows.fill(instance, raw, random)
    local made, count = {}, 0
    for _, t in ipairs(order.tables(model.of(instance).tables, instance.driver_name)) do
        local rows = {}
        made[model.key(t.name, t.schema, "")] = rows
        for _ = 1, random(4) - 1 do
            local row = row_of(t, instance.driver_name, random, made)
            if row and insert(raw, t, row) then rows[#rows + 1] = row end
        end
        count = count + #rows
    end
    return count
end

--- All that is in the tables: by entity, the names of its properties and the rows, each value as SQL would write it.
function random_rows.read(instance, raw)
    local found = {}
    for _, t in ipairs(model.of(instance).tables) do
        local parts, columns = {}, {}
        for i, c in ipairs(t.columns) do
            local name = quote.name(c.name)
            columns[i] = c
            parts[i] = instance.driver_name == "postgres" and "cast(" .. name .. " as text)" or "quote(" .. name .. ")"
        end
        found[t.entity] = { columns = columns, table = t.name,
            rows = raw:rows("select " .. table.concat(parts, ", ") .. " from " .. render.table(t)) }
    end
    return found
end

local function position_of(columns, property)
    for i, c in ipairs(columns) do
        if c.property == property then return i, c end
    end
end

-- What a value is whatever its type is called.
local function loose(value)
    if not value or value == "NULL" then return "NULL" end
    local text = value:match "^'(.*)'$" or value
    if text == "true" or text == "t" then text = "1" elseif text == "false" or text == "f" then text = "0" end
    return tonumber(text) and ("%.12g"):format(tonumber(text)) or (text:gsub("''", "'"))
end

local function has_null(rows, position)
    for _, row in ipairs(rows) do
        if not row[position] or row[position] == "NULL" then return true end
    end
    return false
end

local function projected(rows, positions, is_loose)
    local made = {}
    for i, row in ipairs(rows) do
        local values = {}
        for k, position in ipairs(positions) do
            values[k] = is_loose[k] and loose(row[position]) or tostring(row[position])
        end
        made[i] = table.concat(values, " | ")
    end
    table.sort(made)
    return made
end

--- What is missing of `before` in `after`: nil, or the first difference as words.
function random_rows.lost(before, after)
    for entity, was in pairs(before) do
        local now = after[entity]
        if now then
            local from, to, is_loose, names = {}, {}, {}, {}
            for i, c in ipairs(was.columns) do
                local position, other = position_of(now.columns, c.property)
                local is_filled = other and c.nullable and not other.nullable and has_null(was.rows, i)
                if other and not c.generated and not other.generated and not is_filled then
                    from[#from + 1], to[#to + 1], names[#names + 1] = i, position, c.property
                    is_loose[#from] = c.type ~= other.type or c.kind ~= other.kind
                end
            end
            local had, has = projected(was.rows, from, is_loose), projected(now.rows, to, is_loose)
            for i = 1, math.max(#had, #has) do
                if had[i] ~= has[i] then
                    return ("%s (%s), %d rows were %d [%s]:\n  was %s\n  is  %s"):format(entity, was.table, #has, #had,
                        table.concat(names, ", "), tostring(had[i]), tostring(has[i]))
                end
            end
        end
    end
end

return random_rows
