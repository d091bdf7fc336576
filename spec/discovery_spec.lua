local discovery = require "heddle.discovery"
local entity = require "heddle.entity"
local errors = require "heddle.errors"
local lfs = require "lfs"

local root = os.getenv("HEDDLE_TEST_TMP") .. "/discovery"
local count, package_path, current_dir = 0, package.path, lfs.currentdir()

local function make_directory(path)
    local made = ""
    for part in path:gmatch("[^/]+") do
        made = made .. "/" .. part
        lfs.mkdir(made)
    end
end

-- A directory of its own for each spec, with these files.
local function tree(files)
    count = count + 1
    local directory = root .. "/" .. count
    make_directory(directory)
    for path, text in pairs(files) do
        make_directory((directory .. "/" .. path):match("^(.*)/"))
        local file = assert(io.open(directory .. "/" .. path, "w"))
        file:write(text)
        file:close()
    end
    return directory
end

local function source(name)
    return ("local orm = require 'heddle.entity'\nreturn orm.entity { name = '%s',\n"
        .. "  { 'id', type = 'integer', primary = true } }\n"):format(name)
end

local function names(list)
    local result = {}
    for position, class in ipairs(list) do result[position] = entity.metadata(class).name end
    return result
end

local function refused(kind, entities, base_dir, ...)
    local ok, err = pcall(discovery.load, entities, base_dir, "secondary")
    assert.is_false(ok)
    assert.is_true(errors.is_error(err, kind), tostring(err))
    for _, words in ipairs { ... } do
        assert.truthy(tostring(err):find(words, 1, true), ("%q is not in %q"):format(words, tostring(err)))
    end
    return err
end

describe("discovery", function()
    after_each(function()
        package.path = package_path
        lfs.chdir(current_dir)
    end)

    it("contract 2: entities, lists of them and patterns stand side by side, each entity once", function()
        local directory = tree {
            ["entities/user.lua"] = source "User", ["entities/book.lua"] = source "Book",
            ["entities/notes.txt"] = "no Lua", ["entities/.hidden.lua"] = source "Hidden",
            ["entities/sub/log.lua"] = source "Log",
            ["more.lua"] = "local e = require 'heddle.entity'.entity\n"
                .. "local id = { 'id', type = 'uuid', primary = true }\n"
                .. "return { e { name = 'A', id }, e { name = 'B', id } }",
        }
        local Own = entity.entity { name = "Own", { "id", type = "integer", primary = true } }
        local found = discovery.load({ Own, { Own }, "entities/*.lua", "more.lua" }, directory, "default")
        assert.same({ "Own", "Book", "User", "A", "B" }, names(found))
        assert.equal(Own, found[1])
        assert.same({}, discovery.load({}, nil, "default"))
    end)

    it("contract 2: '?' is one character, '**' any directories", function()
        local directory = tree {
            ["a/u1.lua"] = source "U1", ["a/u12.lua"] = source "U12", ["a/b/u2.lua"] = source "U2",
            ["a/b/c/u3.lua"] = source "U3", ["x/u4.lua"] = source "U4", ["u+5.lua"] = source "U5",
        }
        local function load(pattern) return names(discovery.load({ pattern }, directory, "default")) end
        assert.same({ "U1" }, load "a/u?.lua")
        assert.same({ "U1", "U12", "U2", "U3" }, load "a/**/*.lua")
        assert.same({ "U3" }, load "**/c/*.lua")
        assert.same({ "U2" }, load "*/b/*.lua")
        assert.same({ "U5" }, load "u+5.lua")
        assert.same({ "U4" }, load "a/../x/*.lua")
        assert.same({ "U4" }, names(discovery.load({ directory .. "/x/*.lua" }, "elsewhere", "default")))
    end)

    it("contract 2: a file that package.path reaches is what require gives", function()
        local directory = tree { ["src/shop/user.lua"] = source "User", ["src/shop/init.lua"] = source "Shop" }
        package.path = directory .. "/src/?.lua;" .. directory .. "/src/?/init.lua;" .. package_path
        local User = require "shop.user"
        local found = discovery.load({ "src/shop/*.lua" }, directory, "default")
        assert.same({ "Shop", "User" }, names(found))
        assert.equal(User, found[2])
        assert.equal(require "shop", found[1])
        package.loaded["shop"], package.loaded["shop.user"] = nil, nil
    end)

    it("contract 2: templates relative to the current directory count as well", function()
        local directory = tree { ["store/item.lua"] = source "Item" }
        lfs.chdir(directory)
        package.path = "./?.lua;" .. package_path
        local found = discovery.load({ "store/*.lua" }, directory .. "/store/..", "default")
        assert.equal(require "store.item", found[1])
        package.loaded["store.item"] = nil
    end)

    it("a name that leads require to another file is not used", function()
        local directory = tree { ["one/thing.lua"] = source "First", ["two/thing.lua"] = source "Second" }
        package.path = directory .. "/one/?.lua;" .. directory .. "/two/?.lua;" .. package_path
        assert.same({ "Second" }, names(discovery.load({ "two/thing.lua" }, directory, "default")))
        assert.is_nil(package.loaded.thing)
    end)

    it("C4: a file outside package.path is loaded once, for every context and by every path", function()
        local directory = tree { ["e/user.lua"] = source "User" }
        lfs.link(directory .. "/e", directory .. "/link", true)
        local first = discovery.load({ "e/*.lua" }, directory, "default")
        local roundabout = "../" .. directory:match("[^/]+$") .. "/link/user.lua"
        local second = discovery.load({ roundabout }, directory, "secondary")
        assert.equal(first[1], second[1])
    end)

    it("contract 2: two definitions of one name are a metadata error naming both files", function()
        local directory = tree { ["a/user.lua"] = source "User", ["b/user.lua"] = source "User" }
        local err = refused("metadata", { "a/*.lua", "b/*.lua" }, directory, "'User'", "'secondary'",
            directory .. "/a/user.lua", directory .. "/b/user.lua")
        assert.equal("User", err.entity)
    end)

    it("a pattern that matches nothing is a config error", function()
        local directory = tree { ["entities/user.lua"] = source "User" }
        refused("config", { "entitys/*.lua" }, directory, "'entitys/*.lua'", directory, "'secondary'")
        refused("config", { "entities" }, directory, "'entities'")
        refused("config", { 7 }, directory, "item 1")
        refused("config", { "" }, directory, "item 1")
        refused("config", { {} }, directory, "item 1")
        refused("config", { entities = "a" }, directory, "list")
    end)

    it("a file that cannot be loaded is a metadata error with its file and line", function()
        local directory = tree {
            ["syntax.lua"] = "local x =\nreturn }", ["run.lua"] = "local x\n\nx()", ["nothing.lua"] = "local x = 1",
            ["wrong.lua"] = "return { name = 'User' }", ["number.lua"] = "return 7",
            ["option.lua"] = "return require 'heddle.entity'.entity { name = 'User',\n{ 'id', typ = 'integer' } }",
        }
        refused("metadata", { "syntax.lua" }, directory, "syntax.lua:2:")
        refused("metadata", { "run.lua" }, directory, "run.lua:3:")
        refused("metadata", { "nothing.lua" }, directory, "nothing.lua'", "it gave nothing")
        refused("metadata", { "wrong.lua" }, directory, "wrong.lua'", "it gave a table")
        refused("metadata", { "number.lua" }, directory, "number.lua'", "it gave a number")
        local err = refused("metadata", { "option.lua" }, directory, "'User'", "did you mean 'type'?")
        assert.truthy(err.where:find("option.lua", 1, true))
    end)

    it("a required file that failed can be mended and loaded", function()
        local directory = tree { ["late/thing.lua"] = "error 'broken'" }
        package.path = directory .. "/?.lua;" .. package_path
        refused("metadata", { "late/*.lua" }, directory, "broken")
        refused("metadata", { "late/*.lua" }, directory, "broken")
        local file = assert(io.open(directory .. "/late/thing.lua", "w"))
        file:write(source "Thing")
        file:close()
        assert.same({ "Thing" }, names(discovery.load({ "late/*.lua" }, directory, "default")))
        package.loaded["late.thing"] = nil
    end)

    it("the place of a definition is its file, also when the file returns it at once", function()
        local directory = tree { ["user.lua"] = source "User",
            ["book.lua"] = (source "Book"):gsub("return", "local Book =") .. "return Book" }
        local found = discovery.load({ "*.lua" }, directory, "default")
        assert.equal(directory .. "/book.lua:2", entity.metadata(found[1]).source)
        assert.equal(directory .. "/user.lua", entity.metadata(found[2]).source)
    end)

    it("patterns are relative to the file that calls", function()
        local directory = tree { ["conf/main.lua"] = "local dir = require 'heddle.discovery'.caller_dir()\nreturn dir",
            ["conf/tail.lua"] = "return require 'heddle.discovery'.caller_dir()" }
        assert.equal(directory .. "/conf", dofile(directory .. "/conf/main.lua"))
        assert.equal(directory .. "/conf", dofile(directory .. "/conf/tail.lua"))
        lfs.chdir(directory .. "/conf")
        assert.equal("", dofile "main.lua")
    end)
end)
