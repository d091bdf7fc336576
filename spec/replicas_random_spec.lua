-- Read replicas by chance: requests side by side write and read, while standbys stop replaying, lose connections and
-- crash. No read fails, and none lacks what its request has written.

local chance = require "spec.support.chance"
local cluster = require "spec.support.cluster"
local databases = require "spec.support.databases"
local loop = require "spec.support.loop"
local orm = require "heddle"
local places = require "spec.support.places"

local pcall = require("heddle.compat").pcall -- 5.1's own cannot be yielded across

local User = places.User

local seed = chance.seed(1)
local WORKERS, REQUESTS, STEPS = 6, 8, 8

databases.on("postgres", function()
    describe("read replicas by chance", function()
        local servers

        setup(function() servers = cluster.start(2) end)
        teardown(function() servers:stop() end)
        after_each(function()
            orm.use "blocking"
            orm.close()
        end)

        -- What happens to the standbys meanwhile; each is undone by what it gives.
        local troubles = {
            function(standby)
                standby:pause()
                return function() standby:resume() end
            end,
            function(standby)
                standby:disconnect()
                return function() end
            end,
            function(standby)
                standby:stop "immediate"
                return function() standby:start() end
            end,
        }

        -- What a request does to its own rows, in the database and in `rows`, which says what there has to be.
        local writes = {
            function(em, name, rows)
                em:persist(User { name = name, score = 1 }):flush()
                rows[name] = 1
            end,
            function(em, name, rows)
                em:insert(User, { name = name, score = 2 })
                rows[name] = 2
            end,
            function(em, _, rows)
                local first = next(rows)
                if not first then return end
                em:update_where(User, { name = first }, { score = 3 })
                rows[first] = 3
            end,
            function(em, _, rows)
                local first = next(rows)
                if not first then return end
                em:execute("delete from users where name = ?", first)
                rows[first] = nil
            end,
            function(em, name, rows)
                em:transactional(function()
                    em:fork():insert(User, { name = name .. " aside", score = 4 })
                    em:persist(User { name = name, score = 5 })
                end)
                rows[name .. " aside"], rows[name] = 4, 5
            end,
            function(em, name) pcall(em.transactional, em, function()
                em:insert(User, { name = name })
                error "no"
            end) end,
        }

        local function check(em, prefix, rows)
            local found, count = {}, 0
            local list = em:find(User, { name = orm.op.starts_with(prefix) }, { managed = false })
            for _, user in ipairs(list) do found[user.name] = user.score end
            for _ in pairs(rows) do count = count + 1 end
            assert.same(rows, found)
            assert.equal(count, em:count(User, { name = orm.op.starts_with(prefix) }))
        end

        local function request(prefix, seen)
            local rows = {}
            for step = 1, STEPS do
                local em = math.random(3) == 1 and orm.em():fork() or orm.em()
                if math.random(3) == 1 then writes[math.random(#writes)](em, prefix .. " " .. step, rows) end
                em = math.random(3) == 1 and orm.em():fork() or orm.em()
                check(em, prefix, rows)
                if math.random(4) == 1 then loop.wait(nil, nil, math.random() / 50) end
                seen[em.replica and "replica" or "primary"] = true
            end
        end

        it("no read is stale for whoever wrote (seed " .. seed .. ")", function()
            math.randomseed(seed)
            local _, log = places.open(servers, { pool = { max = 5 } })
            loop.reset()
            orm.use(loop.wait)
            local running, seen, on = WORKERS, {}, {}
            for worker = 1, WORKERS do
                loop.spawn(function()
                    for number = 1, REQUESTS do
                        orm.request_context(function() request(("w%d r%d"):format(worker, number), seen) end)
                    end
                    running = running - 1
                end)
            end
            loop.spawn(function()
                while running > 0 do
                    local undo = troubles[math.random(#troubles)](servers.standbys[math.random(2)])
                    loop.wait(nil, nil, math.random() / 20)
                    undo()
                    loop.wait(nil, nil, math.random() / 20)
                end
            end)
            loop.run()
            for _, entry in ipairs(log) do on[entry.connection] = (on[entry.connection] or 0) + 1 end
            assert.is_truthy(on.primary)
            assert.is_truthy(on["replica 1"] or on["replica 2"])
        end)
    end)
end)
