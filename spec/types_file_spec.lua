-- `heddle types`: what an editor reads of entities and of Heddle's calls.

local compat = require "heddle.compat"
local lua_cats = require "heddle.lua_cats"
local manager = require "heddle.manager"
local orm = require "heddle"

local function entities()
    local Address = orm.embeddable { name = "Address", { "city", type = "string" } }
    local User = orm.entity { name = "User", comment = "Who logs\nin", discriminator_column = "kind",
        { "id", type = "integer", primary = true },
        { "email", type = "string", comment = "with an @" },
        { "big", type = "bigint", as = "string" },
        { "ratio", type = "double", nullable = true },
        { "price", type = "decimal", nullable = true },
        { "role", type = "enum", enum = { "admin", 'a "b"' }, default = "admin" },
        { "at", type = "timestamp" }, { "iso", type = "timestamp", as = "iso8601" },
        { "tags", type = "array", array_of = "text" },
        { "data", type = "json", nullable = true },
        { "mood", type = orm.type { column = "mood" } },
        { "since", type = orm.type { column = "timestamp without time zone" }, nullable = true },
        { "cents", type = orm.type { column = "integer", from_db = tostring, to_db = tonumber } },
        { "home", embedded = Address, nullable = true },
        { "homes", embedded = Address, array = true },
        { "end", type = "text" },
        { "note", persist = false },
        { "team", many_to_one = "Team", nullable = true },
        { "boss", many_to_one = "User" },
        { "profile", one_to_one = "Profile", mapped_by = "user" },
        { "books", many_to_many = "Book" } }
    local Admin = orm.entity { name = "Admin", extends = User, { "level", type = "smallint" } }
    local Team = orm.entity { name = "Team", { "id", type = "integer", primary = true },
        { "users", one_to_many = "User", mapped_by = "team" } }
    local Profile = orm.entity { name = "Profile", { "user", one_to_one = "User", primary = true } }
    local Book = orm.entity { name = "Book", { "id", type = "uuid", primary = true } }
    return { User, Admin, Team, Profile, Book }
end

-- The lines of a class.
local function class(text, name)
    local lines = {}
    for line in (text:match("\n(%-%-%-@class " .. name:gsub("%p", "%%%0") .. "[:\n].-)\n\n") or ""):gmatch "[^\n]+" do
        lines[#lines + 1] = line
    end
    return lines
end

describe("heddle types", function()
    after_each(function() orm.close() end)

    local function text_of(list)
        return lua_cats.text { orm.init { driver = "sqlite", database = ":memory:", entities = list } }
    end

    it("writes a class for each entity, with what properties read as", function()
        assert.same({
            "---@class User",
            "---@field id integer",
            "---@field email string # with an @",
            "---@field big string",
            "---@field ratio? number",
            "---@field price? string",
            '---@field role "admin"|"a \\"b\\""',
            "---@field at number",
            "---@field iso string",
            "---@field tags string[]",
            "---@field data? any",
            "---@field mood any",
            "---@field since? number",
            "---@field cents any",
            "---@field home? Address",
            "---@field homes Address[]",
            '---@field ["end"] string',
            "---@field note? any",
            "---@field team? Team",
            "---@field boss User",
            "---@field profile? Profile",
            "---@field books heddle.Collection<Book>",
        }, { (table.unpack or unpack)(class(text_of(entities()), "User"), 1, 22) })
    end)

    it("entities can be called, with data of their own", function()
        local text = text_of(entities())
        assert.truthy(text:find("---@overload fun(data?: User.Data): User\n", 1, true))
        local data = table.concat(class(text, "User.Data"), "\n")
        assert.truthy(data:find("---@field team? Team|integer|string|table", 1, true))
        assert.truthy(data:find("---@field books? (Book|table)[]", 1, true))
        assert.truthy(data:find("---@field at? number|string", 1, true))
        assert.truthy(text:find("---Who logs in\n---@class User\n", 1, true))
    end)

    it("what an entity inherits is its base's, and embeddables are classes too", function()
        local text = text_of(entities())
        assert.same({
            "---@class Admin: User", "---@field level integer", "---@overload fun(data?: Admin.Data): Admin",
        }, class(text, "Admin"))
        assert.same({
            "---@class Address", "---@field city string", "---@overload fun(data?: Address.Data): Address",
        }, class(text, "Address"))
    end)

    it("is Lua that every interpreter reads, and the same each time", function()
        local list = entities()
        local text = text_of(list)
        assert.is_function(assert(compat.load(text, "=types")))
        assert.is_truthy(text:find "^%-%-%-@meta heddle\n")
        orm.close()
        local reversed = {}
        for i, item in ipairs(list) do reversed[#list + 1 - i] = item end
        assert.equal(text, (text_of(reversed)))
    end)

    it("describes calls that there are, all of the entity manager's", function()
        local text = text_of(entities())
        local described = {}
        for name in text:gmatch "\nfunction EntityManager:([%w_]+)%(" do
            assert.is_function(manager.class[name], name)
            described[name] = true
        end
        for name in ([[create persist remove flush persist_and_flush remove_and_flush assign clear refresh merge detach
            contains changes find find_one find_one_or_fail find_all find_and_count find_by_cursor count stream
            get_reference load map insert insert_many update_where delete_where upsert upsert_many transactional begin
            commit rollback in_transaction lock query execute fork repository]]):gmatch "%S+" do
            assert.is_true(described[name], name)
        end
        for name in text:gmatch "\nfunction orm%.([%w_]+)%(" do assert.is_function(orm[name], name) end
    end)

    it("what a find gives is an entity's", function()
        local text = text_of(entities())
        assert.truthy(text:find("---@generic T\n---@param entity T\n---@param where table\n---@param opts? "
            .. "heddle.FindOptions\n---@return T[]\nfunction EntityManager:find(entity, where, opts) end", 1, true))
        assert.truthy(text:find("---@class heddle.Collection<T>: { [integer]: T, ", 1, true))
    end)

    it("an entity of two contexts is one; two of one name are told", function()
        local list = entities()
        local first = orm.init { driver = "sqlite", database = ":memory:", entities = list }
        local Other = orm.entity { name = "Team", { "code", type = "text", primary = true } }
        local second = orm.init { context_name = "second", driver = "sqlite", database = ":memory:", entities = { Other,
            list[5] } }
        local text, shadowed = lua_cats.text { first, second }
        assert.same({ "Team" }, shadowed)
        local _, count = text:gsub("%-%-%-@class Book\n", "")
        assert.equal(1, count)
    end)
end)
