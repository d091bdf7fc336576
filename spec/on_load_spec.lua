-- on_load is called once for each instance that somebody gets, whatever brings its row along.

local databases = require "spec.support.databases"
local orm = require "heddle"

local heard

local Tag = orm.entity {
    name = "Tag",
    { "id", type = "integer", primary = true },
    { "name", type = "string" },
    hooks = { on_load = function(tag) heard[#heard + 1] = tag end },
}
local Post = orm.entity {
    name = "Post",
    { "id", type = "integer", primary = true },
    { "main", many_to_one = Tag, nullable = true },
    { "tags", many_to_many = Tag },
}

databases.each(function(db)
    describe("on_load", function()
        local em

        before_each(function()
            orm.init(db:config { entities = { Tag, Post } }).schema:create()
            em = orm.em():fork()
            local a, b = em:create(Tag, { name = "a" }), em:create(Tag, { name = "b" })
            for i = 1, 3 do em:persist(em:create(Post, { id = i, main = a, tags = { a, b } })) end
            em:flush()
            em:clear()
            heard = {}
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        -- Every tag that is reached, each once.
        local function reached(posts)
            local seen, list = {}, {}
            local function add(tag)
                if tag and not seen[tag] then seen[tag], list[#list + 1] = true, tag end
            end
            for _, post in ipairs(posts) do
                add(post.main)
                for _, tag in post.tags:iter() do add(tag) end
            end
            return seen, list
        end

        for _, is_managed in ipairs { true, false } do
            for _, strategy in ipairs { "select_in", "joined" } do
                it(("is heard once a row: managed %s, %s"):format(tostring(is_managed), strategy), function()
                    local posts = em:find(Post, {}, { managed = is_managed, strategy = strategy,
                        populate = { "tags", "main" } })
                    local seen, list = reached(posts)
                    assert.equal(2, #list)
                    assert.equal(2, #heard)
                    for _, tag in ipairs(heard) do assert.is_true(seen[tag]) end
                end)
            end
        end
    end)
end)
