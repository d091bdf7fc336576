-- The drawing: boxes apart, lines around them, for twenty tables however they refer to each other.

local chance = require "spec.support.chance"
local diagram = require "heddle.diagram"

-- A schema model of `count` tables; each refers to some others, itself included.
local function model_of(random, count, edges)
    local made = { driver = "postgres", tables = {}, views = {} }
    for i = 1, count do
        local t = { name = ("table_%d"):format(i), columns = { { name = "id", type = "integer" } },
            primary = { columns = { "id" } }, uniques = {}, foreign_keys = {}, indexes = {}, checks = {} }
        for k = 1, random(13) - 1 do
            t.columns[#t.columns + 1] = { name = ("column_%d"):format(k), type = "character varying(255)",
                nullable = random(2) == 1 }
        end
        made.tables[i] = t
    end
    for i = 1, edges do
        local from, to = made.tables[random(count)], made.tables[random(count)]
        local name = "key_" .. i
        from.columns[#from.columns + 1] = { name = name, type = "integer", nullable = random(2) == 1 }
        from.foreign_keys[#from.foreign_keys + 1] = { columns = { name }, table = to.name, target_columns = { "id" } }
    end
    return made
end

local function numbers(text)
    local list = {}
    for number in text:gmatch "%-?%d+%.?%d*" do list[#list + 1] = tonumber(number) end
    return list
end

local function boxes_of(svg)
    local boxes = {}
    for x, y, w, h in svg:gmatch '<rect class="box" x="(%d+)" y="(%d+)" width="(%d+)" height="(%d+)"' do
        boxes[#boxes + 1] = { x = tonumber(x), y = tonumber(y), w = tonumber(w), h = tonumber(h) }
    end
    return boxes
end

-- Points on a line of the drawing, close to each other.
local function points_of(path)
    local points, x, y = {}, 0, 0
    local function go(tx, ty, cx1, cy1, cx2, cy2)
        for step = 0, 40 do
            local t = step / 40
            local u = 1 - t
            points[#points + 1] = cx1
                and { u ^ 3 * x + 3 * u * u * t * cx1 + 3 * u * t * t * cx2 + t ^ 3 * tx,
                    u ^ 3 * y + 3 * u * u * t * cy1 + 3 * u * t * t * cy2 + t ^ 3 * ty }
                or { x + (tx - x) * t, y + (ty - y) * t }
        end
        x, y = tx, ty
    end
    for letter, rest in path:gmatch "(%a)([^%a]*)" do
        local n = numbers(rest)
        if letter == "M" then x, y = n[1], n[2] end
        if letter == "H" then go(n[1], y) end
        if letter == "h" then go(x + n[1], y) end
        if letter == "C" then go(n[5], n[6], n[1], n[2], n[3], n[4]) end
    end
    return points
end

-- What is wrong with a drawing, nil when nothing is.
local function fault_of(svg, count, edges)
    local boxes = boxes_of(svg)
    if #boxes ~= count then return "not every table has a box" end
    for i, a in ipairs(boxes) do
        for k = i + 1, #boxes do
            local b = boxes[k]
            local apart = a.x + a.w < b.x or b.x + b.w < a.x or a.y + a.h < b.y or b.y + b.h < a.y
            if not apart then return ("boxes %d and %d overlap"):format(i, k) end
        end
    end
    local width, height = svg:match 'width="(%d+)" height="(%d+)"'
    width, height = tonumber(width), tonumber(height)
    local lines = 0
    for path in svg:gmatch '<path class="line edge" d="([^"]*)"' do
        lines = lines + 1
        for _, point in ipairs(points_of(path)) do
            local x, y = point[1], point[2]
            if x < 0 or x > width or y < 0 or y > height then return "a line leaves the page" end
            for i, box in ipairs(boxes) do
                if x > box.x + 1 and x < box.x + box.w - 1 and y > box.y + 1 and y < box.y + box.h - 1 then
                    return ("a line crosses box %d"):format(i)
                end
            end
        end
    end
    if lines ~= edges then return "not every foreign key has a line" end
end

describe("schema:diagram('svg')", function()
    it("no boxes overlap and no line crosses one, for twenty tables and any foreign keys", function()
        local random = chance.generator(7)
        for _ = 1, chance.runs(30) do
            local edges = random(41) - 1
            assert.is_nil(fault_of(diagram.text(model_of(random, 20, edges), "svg"), 20, edges))
        end
    end)

    it("draws nothing, one table, and a hundred", function()
        local random = chance.generator(3)
        assert.is_nil(fault_of(diagram.text(model_of(random, 0, 0), "svg"), 0, 0))
        assert.is_nil(fault_of(diagram.text(model_of(random, 1, 3), "svg"), 1, 3))
        assert.is_nil(fault_of(diagram.text(model_of(random, 100, 120), "svg"), 100, 120))
    end)

    it("is the same each time, and well-formed", function()
        local made = model_of(chance.generator(5), 12, 14)
        made.tables[1].columns[1].type = "a<b & \"c\"\1"
        made.tables[2].name = "żółw"
        for _, t in ipairs(made.tables) do
            for _, fk in ipairs(t.foreign_keys) do
                if fk.table == "table_2" then fk.table = "żółw" end
            end
        end
        local svg = diagram.text(made, "svg")
        assert.equal(svg, diagram.text(made, "svg"))
        assert.truthy(svg:find("a&lt;b &amp; &quot;c&quot;?", 1, true))
        local depth = 0
        for closing, name, own in svg:gmatch "<(/?)(%a+)[^>]-(/?)>" do
            depth = depth + (closing == "/" and -1 or own == "/" and 0 or 1)
            assert.is_true(depth >= 0, name)
        end
        assert.equal(0, depth)
    end)

    it("a line ends at the rows of its foreign key and of the key", function()
        local made = model_of(chance.generator(1), 2, 0)
        made.tables[1].columns = { { name = "id", type = "integer" } }
        made.tables[2].columns = { { name = "id", type = "integer" }, { name = "one", type = "integer" } }
        made.tables[2].foreign_keys[1] = { columns = { "one" }, table = "table_1", target_columns = { "id" } }
        local svg = diagram.text(made, "svg")
        local boxes = boxes_of(svg)
        local points = points_of(svg:match '<path class="line edge" d="([^"]*)"')
        assert.equal(boxes[2].x, points[1][1])
        assert.equal(boxes[2].y + 28 + 20 + 12, points[1][2])
        assert.equal(boxes[1].x + boxes[1].w, points[#points][1])
        assert.equal(boxes[1].y + 28 + 12, points[#points][2])
    end)
end)
