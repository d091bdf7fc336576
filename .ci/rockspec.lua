-- Writes the two rockspecs, or checks that they are what would be written: LuaRocks wants every file named.
--
--     lua .ci/rockspec.lua write|check

local function files(command)
    local pipe, list = assert(io.popen(command)), {}
    for line in pipe:lines() do list[#list + 1] = line end
    pipe:close()
    return list
end

local function list(indent, paths)
    local lines = {}
    for i, path in ipairs(paths) do lines[i] = ("%s%q,"):format(indent, path) end
    return table.concat(lines, "\n")
end

local base = files "LC_ALL=C ls csrc/core/base/*.c"
local core = files "LC_ALL=C ls csrc/core/*.c csrc/binding/*.c | grep -v /open_"

local function sources(...)
    local all = {}
    for _, part in ipairs { ... } do
        for _, path in ipairs(part) do all[#all + 1] = path end
    end
    return list("                ", all)
end

local function c_module(name, paths, more)
    return ([[
        ["heddle.%s"] = {
            sources = {
%s
            },
            defines = { "_GNU_SOURCE" },
            incdirs = { "csrc/core", "csrc"%s },
            libraries = { %s"pthread", "m" },
%s        },
]]):format(name, paths, more.incdirs or "", more.libraries or "", more.libdirs or "")
end

local function driver(name, more)
    local paths = files("LC_ALL=C ls csrc/drivers/" .. name .. "/*.c")
    return c_module(name, sources(base, paths, { "csrc/binding/open_" .. name .. ".c" }), more)
end

local function lua_modules()
    local lines, known = {}, {}
    for _, path in ipairs(files "find lua -name '*.lua' | LC_ALL=C sort") do
        local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
        if known[name] then error(path .. " and " .. known[name] .. " are one module, " .. name, 0) end
        known[name] = path
        lines[#lines + 1] = ("        [%q] = %q,\n"):format(name, path)
    end
    return table.concat(lines)
end

local function rockspec(rock)
    return ([[
-- Written by `make rockspec`.
rockspec_format = "3.0"
package = "%s"
version = "scm-1"
source = {
    url = "file://.",
}
description = {
    summary = "A data-mapper ORM%s, with its core in C",
    detailed = "Several named database connections, an identity map, a unit of work, repositories and request " ..
        "contexts, on Lua 5.1, 5.3, 5.4 and LuaJIT.",
    license = "MIT",
}
dependencies = {
    "lua >= 5.1, < 5.5",
    "luafilesystem >= 1.6",
    "argparse >= 0.7",
}
external_dependencies = {
%s}
build = {
    type = "builtin",
    modules = {
%s%s    },
    install = {
        bin = { heddle = "lua/heddle/cli/heddle" },
    },
}
]]):format(rock.name, rock.summary, rock.external, rock.drivers, lua_modules())
end

local heddle_core = c_module("core", sources(base, core), {})
local sqlite = driver("sqlite", {
    incdirs = ', "$(SQLITE_INCDIR)"',
    libraries = '"sqlite3", ',
    libdirs = '            libdirs = { "$(SQLITE_LIBDIR)" },\n',
})
-- By its library alone: Debian keeps libpq's headers in a directory of their own that LuaRocks does not search.
local postgres = driver("postgres", {
    incdirs = ', "$(PQ_INCDIR)", "$(PQ_INCDIR)/postgresql"',
    libraries = '"pq", ',
    libdirs = '            libdirs = { "$(PQ_LIBDIR)" },\n',
})

local wanted = {
    ["rockspec/heddle-scm-1.rockspec"] = rockspec {
        name = "heddle",
        summary = " for PostgreSQL and SQLite",
        external = '    PQ = { library = "pq" },\n    SQLITE = { header = "sqlite3.h", library = "sqlite3" },\n',
        drivers = heddle_core .. postgres .. sqlite,
    },
    ["rockspec/heddle-sqlite-scm-1.rockspec"] = rockspec {
        name = "heddle-sqlite",
        summary = " for SQLite",
        external = '    SQLITE = { header = "sqlite3.h", library = "sqlite3" },\n',
        drivers = heddle_core .. sqlite,
    },
}

local function read(path)
    local file = io.open(path, "rb")
    local text = file and file:read "*a"
    if file then file:close() end
    return text
end

local stale = false
for path, text in pairs(wanted) do
    if arg[1] == "write" then
        local file = assert(io.open(path, "wb"))
        file:write(text)
        file:close()
    elseif read(path) ~= text then
        io.stderr:write(path, " does not list the files that are there (make rockspec writes it anew)\n")
        stale = true
    end
end
os.exit(stale and 1 or 0)
