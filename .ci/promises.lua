-- The table of promises (promise x interpreter x driver), made from the names of the specs that passed.
--
--     lua .ci/promises.lua build/lua5.4/results/specs.tsv build/luajit/results/specs.tsv ...
--
-- A spec names its promises before a colon: "U3: int64 limits survive", "F1, F3: the k-th statement fails". A
-- cell holds the number of specs that passed; "!" marks one where some failed, "-" one that should be filled and
-- is not. Such a cell fails the run.

local drivers = { "sqlite", "postgres" }

-- What exists so far, on both drivers but for those named.
local required = { "C1-5", "I1-7", "U1-7", "O1-4", "F1-5", "M1-6", "Q1-7" }
local only = { O4 = { postgres = true } }

local function expand(ranges)
    local list = {}
    for _, range in ipairs(ranges) do
        local letter, first, last = range:match "^(%u)(%d+)%-?(%d*)$"
        for n = tonumber(first), tonumber(last) or tonumber(first) do list[#list + 1] = letter .. n end
    end
    return list
end

-- Codes that stand, separated by commas, blanks or "and", right before a colon.
local function promises_of(name)
    local found = {}
    for before in name:gmatch "([^:]*):" do
        local rest = before
        while rest do
            local shorter, code = (" " .. rest):match "^(.*[%s,/%(%]])(%u%d%d?)$"
            if not code then break end
            found[code] = true
            rest = shorter:gsub("[%s,/]+$", ""):gsub("%sand$", "")
        end
    end
    return found
end

local function count_file(path, cells)
    for line in assert(io.lines(path)) do
        local status, driver, name = line:match "^(%a+)\t([^\t]*)\t[^\t]*\t(.*)$"
        for code in pairs(name and promises_of(name) or {}) do
            local cell = cells[code .. driver] or { pass = 0, bad = 0 }
            cells[code .. driver] = cell
            if status == "pass" then cell.pass = cell.pass + 1 end
            if status == "fail" or status == "error" then cell.bad = cell.bad + 1 end
            cells[code] = true
        end
    end
    return cells
end

local function rows_of(counts)
    local rows, known = expand(required), {}
    for _, code in ipairs(rows) do known[code] = true end
    local more = {}
    for _, cells in ipairs(counts) do
        for code in pairs(cells) do
            if code:find "^%u%d%d?$" and not known[code] then
                known[code] = "more"
                more[#more + 1] = code
            end
        end
    end
    table.sort(more, function(a, b)
        local letter_a, letter_b = a:sub(1, 1), b:sub(1, 1)
        if letter_a ~= letter_b then return letter_a < letter_b end
        return tonumber(a:sub(2)) < tonumber(b:sub(2))
    end)
    for _, code in ipairs(more) do rows[#rows + 1] = code end
    return rows, known
end

local counts, headers, line = {}, { "promise " }, { "        " }
for i, path in ipairs(arg) do
    counts[i] = count_file(path, {})
    headers[#headers + 1] = ("| %-15s "):format(path:match "build/([^/]+)/" or path)
    line[#line + 1] = ("| %6s %8s "):format(drivers[1], drivers[2])
end
print(table.concat(headers))
print(table.concat(line))

local rows, known = rows_of(counts)
local empty, bad = 0, 0
for _, code in ipairs(rows) do
    local out = { ("%-8s"):format(code) }
    for _, cells in ipairs(counts) do
        local shown = {}
        for _, driver in ipairs(drivers) do
            local cell = cells[code .. driver] or { pass = 0, bad = 0 }
            local wanted = known[code] == true and (not only[code] or only[code][driver])
            local text = cell.pass > 0 and tostring(cell.pass) or (wanted and "-" or "")
            if cell.bad > 0 then
                text = text .. "!"
                bad = bad + 1
            end
            if wanted and cell.pass == 0 then empty = empty + 1 end
            shown[#shown + 1] = text
        end
        out[#out + 1] = ("| %6s %8s "):format(shown[1], shown[2])
    end
    print((table.concat(out):gsub("%s+$", "")))
end

if empty > 0 then io.stderr:write(("promises: %d cells that should be filled are empty\n"):format(empty)) end
if bad > 0 then io.stderr:write(("promises: %d cells hold specs that failed\n"):format(bad)) end
os.exit((empty == 0 and bad == 0) and 0 or 1)
