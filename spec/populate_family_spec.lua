-- Populate and partial loading where one table holds several entities: conditions, limits and fields of a relation to
-- the root, or to an entity that extends it.

local databases = require "spec.support.databases"
local expect = require "spec.support.expect"
local orm = require "heddle"
local unit = require "spec.support.unit"

local raises, sent_by = expect.raises, expect.sent_by
local op = orm.op
local id = { "id", type = "integer", primary = true }

local Person = orm.entity { name = "Person", table = "people", id, { "name", type = "string" },
    { "animals", one_to_many = "Animal", mapped_by = "owner" }, { "dogs", one_to_many = "Dog", mapped_by = "walker" },
    { "likes", many_to_many = "Animal" } }
local Animal = orm.entity { name = "Animal", table = "animals", discriminator_column = "kind", id,
    { "name", type = "string" }, { "notes", type = "text", lazy = true, nullable = true },
    { "owner", many_to_one = Person, nullable = true }, { "friends", many_to_many = "Animal" } }
local Dog = orm.entity { name = "Dog", extends = Animal, { "breed", type = "string", nullable = true },
    { "secret", type = "text", lazy = true, nullable = true },
    { "walker", many_to_one = Person, nullable = true },
    { "toys", one_to_many = "Toy", mapped_by = "dog", eager = true } }
local Cat = orm.entity { name = "Cat", extends = Animal, { "lives", type = "integer", default = 9 } }
local Toy = orm.entity { name = "Toy", table = "toys", id, { "name", type = "string" }, { "dog", many_to_one = Dog } }

local function names(list)
    local made = {}
    for i, e in list:iter() do made[i] = e.name end
    return table.concat(made, " ")
end

local function populated(way, own, E, populate)
    local by_id = { "id" }
    if way == "load" then return own:load(own:find(E, {}, { order_by = by_id }), populate) end
    return own:find(E, {}, { order_by = by_id, populate = populate, managed = way == "managed" })
end

databases.each(function(db)
    describe("families, populated:", function()
        local work, em, sent

        before_each(function()
            work = unit.open(db, { Person, Animal, Dog, Cat, Toy })
            em = work.em
            local ann, ben = Person { name = "Ann" }, Person { name = "Ben" }
            local rex = Dog { name = "Rex", breed = "pug", owner = ann, walker = ben, notes = "n", secret = "s" }
            local tom, kit = Cat { name = "Tom", owner = ann }, Cat { name = "Kit", owner = ben, lives = 7 }
            local ace = Dog { name = "Ace", owner = ann, walker = ben }
            em:persist(ann, ben):flush()
            em:persist(rex):flush()
            em:persist(tom):flush()
            em:persist(kit, ace, Toy { name = "ball", dog = rex }):flush()
            ann.likes:add(rex, tom, kit)
            rex.friends:add(tom, ace)
            em:flush()
            em:clear()
            sent = expect.statements(work.instance)
        end)

        after_each(function()
            orm.close()
            db:close()
        end)

        for _, way in ipairs { "managed", "unmanaged", "load" } do
            it("conditions, limits and fields, " .. way, function()
                local own = em:fork()
                local people = populated(way, own, Person, { { "animals", where = { name = op.ne "Tom" }, limit = 1,
                    order_by = { "name desc" }, populate = { { "friends", fields = { "name" } } } },
                    { "likes", offset = 1 }, { "dogs", where = { breed = "pug" } } })
                assert.equal("Rex", names(people[1].animals))
                assert.equal("Kit", names(people[2].animals))
                assert.equal("Dog", orm.metadata(getmetatable(people[1].animals[1]).class).name)
                assert.equal("pug", people[1].animals[1].breed)
                assert.equal("Tom Ace", names(people[1].animals[1].friends))
                assert.equal("ball", names(people[1].animals[1].toys)) -- eager
                assert.equal("Tom Kit", names(people[1].likes))
                assert.equal("Rex", names(people[2].dogs))
                assert.equal(7, people[1].likes[2].lives)
                if way ~= "unmanaged" then assert.same({}, (sent_by(sent, function() own:flush() end))) end
            end)
        end

        it("a flush after a look in part changes nothing; set reads all", function()
            local ben = em:find_one(Person, 2, { populate = { { "dogs", where = { breed = "pug" } } } })
            ben.dogs:add(em:create(Dog, { name = "New" }))
            em:flush()
            assert.equal(3, tonumber(work.raw:value "select count(*) from animals where walker_id = 2"))
            em:load(ben, { { "dogs", limit = 1 } })
            ben.dogs:set {}
            em:flush()
            assert.equal(0, tonumber(work.raw:value "select count(*) from animals where walker_id = 2"))
            assert.equal(5, tonumber(work.raw:value "select count(*) from animals"))
        end)

        it("em:load completes what was read in part, each by what it is", function()
            local animals = em:find(Animal, {}, { fields = { "name" }, order_by = { "id" } })
            raises("not_loaded", function() return animals[1].breed end, "breed")
            raises("not_loaded", function() return animals[2].lives end, "lives")
            assert.equal(1, #sent_by(sent, function() em:load(animals) end))
            assert.equal("pug", animals[1].breed)
            assert.equal(9, animals[2].lives)
            raises("not_loaded", function() return animals[1].notes end, "notes")
            assert.same({}, (sent_by(sent, function() em:load(animals) end)))
            assert.equal(1, #sent_by(sent, function() em:load(animals, { "notes" }) end))
            assert.equal("n", animals[1].notes)
            assert.is_nil(animals[2].notes)
            assert.same({}, (sent_by(sent, function() em:load(animals, { "notes" }) end)))
            assert.equal("s", em:load(animals[1], { "secret" }).secret)
            raises("unknown_property", function() em:load(animals, { "secret" }) end, "Animal")
            local dogs = em:load({ animals[1], em:find_one(Dog, { name = "Ace" }) }, { "walker", "toys" })
            assert.equal("Ben", dogs[2].walker.name)
            assert.equal(0, #dogs[2].toys)
        end)
    end)
end)
