-- The README and the manual are programs: every block that begins with ```lua is run, and what it prints is compared
-- with its `--> ` comments ("..." stands for any text).
--
-- A page's blocks are one program, in order; a block that begins with `local orm = require "heddle"` (or without
-- `local`) begins a new one. "```lua 5.4" is run where the interpreter has that grammar, "```lua no-run" nowhere.
-- Programs run in processes and directories of their own.

local lfs = require "lfs"

local is_54 = _VERSION == "Lua 5.4"

local function read_file(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

local function write_file(path, text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
end

local function is_run(word)
    return word == "" or (word == "5.4" and is_54)
end

local function starts_program(line)
    return line:find '^local orm = require "heddle"' or line:find '^orm = require "heddle"'
end

-- Programs of a page: { first = line number, lines = { [line number] = text }, expected = { ... } }.
local function programs_of(path)
    local programs, number, inside, running = {}, 0, false, false
    for line in (read_file(path) .. "\n"):gmatch "(.-)\n" do
        number = number + 1
        local word = line:match "^```lua ?(.*)$"
        if not inside and line:find "^```" then
            inside, running = true, word ~= nil and is_run(word)
        elseif line:find "^```" then
            inside, running = false, false
        elseif running then
            if starts_program(line) then
                programs[#programs + 1] = { first = number, lines = {}, expected = {} }
            end
            local program = assert(programs[#programs], path .. ": a block before the first program")
            program.lines[number], program.last = line, number
            program.expected[#program.expected + 1] = line:match "%-%-> ?(.*)$"
        end
    end
    return programs
end

-- Blank lines stand for what is between the blocks, so that an error names the page's own line.
local function source_of(program)
    local lines = {}
    for i = 1, program.last do lines[i] = program.lines[i] or "" end
    return table.concat(lines, "\n") .. "\n"
end

local function quote(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- Runs shell text in an empty directory; gives its output, errors included, and whether it ended well.
local function run(text)
    local directory = os.tmpname()
    os.remove(directory)
    assert(lfs.mkdir(directory))
    local pipe = io.popen(("cd %s && { %s; } 2>&1; echo \"status $?\""):format(quote(directory), text))
    local output, status = pipe:read("*a"):match "^(.*)status (%d+)\n$"
    pipe:close()
    os.execute("rm -rf " .. quote(directory))
    return output, status == "0"
end

local function run_program(program, name)
    local file = os.tmpname()
    write_file(file, source_of(program))
    -- Loaded under the page's name.
    local loader = ("local f = assert(io.open(%q)); local t = f:read('*a'); f:close(); "
        .. "local chunk = assert((loadstring or load)(t, %q)); "
        .. "local ok, err = xpcall(chunk, function(e) return debug.traceback(tostring(e), 2) end); "
        .. "if not ok then print(err) os.exit(1) end"):format(file, "=" .. name)
    local output, ok = run(os.getenv "HEDDLE_TEST_LUA" .. " -e " .. quote(loader))
    os.remove(file)
    return output, ok
end

local function lines_of(text)
    local lines = {}
    for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    return lines
end

local function matches(line, expected)
    local pattern = expected:gsub("%.%.%.", "\1"):gsub("%p", "%%%0"):gsub("\1", ".*")
    return line:find("^" .. pattern .. "$") ~= nil
end

local pages = { "README.md" }
for name in lfs.dir "docs" do
    if name:find "%.md$" and name ~= "architecture.md" then pages[#pages + 1] = "docs/" .. name end
end
table.sort(pages)

for _, page in ipairs(pages) do
    describe(page, function()
        for _, program in ipairs(programs_of(page)) do
            it("runs as printed from line " .. program.first, function()
                local output, ok = run_program(program, page)
                assert(ok, output)
                local printed = lines_of(output)
                for i = 1, math.max(#printed, #program.expected) do
                    local line, expected = printed[i], program.expected[i]
                    if not (line and expected and matches(line, expected)) then
                        assert.equal(expected, line, ("line %d of the output"):format(i))
                    end
                end
            end)
        end
    end)
end

describe("README.md", function()
    it("its first program can be pasted into the interpreter, line by line", function()
        local program = programs_of("README.md")[1]
        local lines = {}
        -- Comments stay out: the interpreter may echo what it reads.
        for i = program.first, program.last do lines[#lines + 1] = program.lines[i]:gsub("%s*%-%-.*$", "") end
        local file = os.tmpname()
        write_file(file, table.concat(lines, "\n") .. "\n")
        local output = run(os.getenv "HEDDLE_TEST_LUA" .. " -i < " .. quote(file))
        os.remove(file)
        assert.is_nil(output:find("stdin:", 1, true), output)
        for _, expected in ipairs(program.expected) do
            assert.is_truthy(output:find(expected, 1, true), output)
        end
    end)

    it("its links lead to files", function()
        for _, page in ipairs(pages) do
            local base = page:match "^(.*/)" or ""
            for target in read_file(page):gmatch "%]%(([^)#]+)" do
                assert.is_truthy(target:find "^https?:" or lfs.attributes(base .. target), page .. ": " .. target)
            end
        end
    end)
end)
