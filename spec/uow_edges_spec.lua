-- Edges of the unit of work, where features meet that each have a spec of their own.
local databases = require("spec.support.databases")
local orm = require("heddle")
local unit = require("spec.support.unit")

local Parent = orm.entity {
  name = "Parent", table = "parents",
  { "id", type = "integer", primary = true },
}
local function child(rule)
  return orm.entity {
    name = "Child", table = "children",
    { "id", type = "integer", primary = true },
    { "parent", many_to_one = "Parent", nullable = true, on_update = rule },
  }
end
-- Keys made of a foreign key, and foreign keys to these.
local Seat = orm.entity {
  name = "Seat", table = "seats",
  { "parent", many_to_one = "Parent", primary = true, on_update = "cascade" },
  { "number", type = "integer", primary = true },
}
local Ticket = orm.entity {
  name = "Ticket", table = "tickets",
  { "id", type = "integer", primary = true },
  { "seat", many_to_one = "Seat", on_update = "cascade" },
}

databases.each(function(db)
  describe("edges: keys that change", function()
    local work, em

    local function open(entities)
      work = unit.open(db, entities)
      em = work.em
    end

    after_each(function()
      work:close()
      db:close()
    end)

    local function quiet()
      work:forget()
      em:flush()
      assert.same({}, work:statements())
    end

    for _, rule in ipairs { "none", "cascade", "set null" } do
      it("O1: what comes to a row whose key changes comes behind that, by its new key; on_update " .. rule, function()
        local Child = child(rule ~= "none" and rule or nil)
        open { Parent, Child }
        local p, q = Parent { id = 1 }, Parent { id = 2 }
        local moved = Child { parent = q }
        em:persist(p, moved):flush()
        local new = em:create(Child, { parent = p })
        em:persist(new)
        moved.parent, p.id = p, 5
        em:flush()
        assert.same({ { "5" }, { "5" } }, work.raw:rows "select parent_id from children")
        assert.equal(p, new.parent)
        assert.equal(p, moved.parent)
        quiet()
      end)
    end

    it("I1: rows that hand their keys on take along what refers to each", function()
      local Child = child("cascade")
      open { Parent, Child }
      local p, q = Parent { id = 1 }, Parent { id = 2 }
      local list = { Child { parent = p }, Child { parent = q }, Child { parent = p }, Child { parent = q } }
      em:persist(list[1], list[2]):flush()
      local function swap()
        p.id, q.id = q.id, p.id
        em:flush()
      end
      local function check(first, second)
        assert.same({ first, second }, { p.id, q.id })
        for i, one in ipairs(list) do
          if one.id then assert.equal(i % 2 == 1 and p or q, one.parent) end
        end
      end
      assert.has_error(function()
        em:transactional(function()
          swap()
          check(2, 1)
          error "undone"
        end)
      end)
      check(1, 2)
      quiet()
      em:persist(list[3], list[4])
      swap()
      check(2, 1)
      assert.same({ { "2" }, { "1" }, { "2" }, { "1" } }, work.raw:rows "select parent_id from children order by id")
      quiet()
    end)

    it("I1: a key made of a foreign key that follows is the row's, and what refers to that follows too", function()
      open { Parent, Seat, Ticket }
      local p, q = Parent { id = 1 }, Parent { id = 2 }
      local a, b = Seat { parent = p, number = 1 }, Seat { parent = q, number = 1 }
      local first, second = Ticket { seat = a }, Ticket { seat = b }
      em:persist(first, second):flush()
      local function check(of_a, of_b)
        assert.equal(a, em:find_one(Seat, { of_a, 1 }))
        assert.equal(b, em:find_one(Seat, { of_b, 1 }))
        assert.same({ p, q }, { a.parent, b.parent })
        assert.equal(a, first.seat)
        assert.equal(b, second.seat)
        quiet()
      end
      assert.has_error(function()
        em:transactional(function()
          p.id, q.id = 2, 1
          em:flush()
          assert.equal(a, em:find_one(Seat, { 2, 1 }))
          error "undone"
        end)
      end)
      check(1, 2)
      p.id, q.id = 2, 3
      em:flush()
      check(2, 3)
      assert.is_nil(em:find_one(Seat, { 1, 1 }))
      a.number = 7
      local third = em:create(Ticket, { seat = a })
      em:persist(third):flush()
      assert.equal(a, third.seat)
      assert.same({ { "2", "7" }, { "3", "1" }, { "2", "7" } },
        work.raw:rows "select seat_parent_id, seat_number from tickets order by id")
    end)
  end)
end)

local Account = orm.entity {
  name = "Account", table = "accounts",
  { "id", type = "integer", primary = true },
  { "owner", type = "string", length = 20 },
  { "balance", type = "integer", default = 0 },
  { "version", type = "integer", version = true },
}

databases.each(function(db)
  describe("edges: rows that are to be deleted", function()
    local work, em

    before_each(function()
      work = unit.open(db, { Account })
      em = work.em
    end)

    after_each(function()
      work:close()
      db:close()
    end)

    it("F2: a stale removal is read again by refresh, a lock and refresh = true, and stays pending", function()
      local a = em:create(Account, { owner = "Ann" })
      em:persist_and_flush(a)
      em:remove(a)
      local version = 1
      local function write()
        version = version + 10
        work.raw:exec("update accounts set owner = 'Ben', version = " .. version)
      end
      write()
      unit.raises("optimistic_lock", em.flush, em)
      assert.equal(a, em:find(Account, {}, { flush_mode = "commit" })[1])
      assert.equal(1, a.version)
      assert.equal(version, em:refresh(a).version)
      assert.is_false(em:contains(a))
      write()
      em:find(Account, {}, { refresh = true, flush_mode = "commit" })
      assert.equal(version, a.version)
      write()
      em:transactional(function() em:lock(a, "pessimistic_write") end)
      assert.same({}, work.raw:rows "select id from accounts")
    end)

    it("F2: a removed reference that was refreshed is deleted in the version that was read", function()
      work.raw:exec "insert into accounts (id, owner, balance, version) values (9, 'Ann', 0, 3)"
      local a = em:get_reference(Account, 9)
      em:remove(a)
      assert.equal("Ann", em:refresh(a).owner)
      work.raw:exec "update accounts set version = 4"
      unit.raises("optimistic_lock", em.flush, em)
      em:refresh(a)
      em:persist(a)
      a.balance = 7
      em:flush()
      assert.same({ { "7", "5" } }, work.raw:rows "select balance, version from accounts")
    end)
  end)
end)

local salted = {
  before_create = function(e) e.name = "salted " .. e.name end,
  before_update = function(e) e.note = "touched" end,
}
local User = orm.entity {
  name = "User", table = "users",
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
  { "note", type = "string", nullable = true },
  { "writes", type = "integer", on_create = function() return 1 end, on_update = function(e) return e.writes + 1 end },
  hooks = salted,
}

databases.each(function(db)
  describe("edges: a row that is left out", function()
    it("U1: is as the program had left it; what hooks had set is set by the flush that writes it", function()
      local work = unit.open(db, { User })
      local em, vetoes = work.em, true
      work.instance:on("on_flush", function(changes)
        for _, change in ipairs(vetoes and changes or {}) do changes:veto(change.entity) end
      end)
      local user = em:create(User, { name = "Ann" })
      em:persist(user)
      work:forget()
      em:flush()
      em:flush()
      assert.same({}, work:statements())
      assert.same({ "Ann" }, { user.name, user.writes })
      vetoes = false
      em:flush()
      assert.same({ { "salted Ann", "1" } }, work.raw:rows "select name, writes from users")
      em:clear()
      vetoes, user = true, em:find_one(User, user.id, { fields = { "name", "writes" } })
      user.name = "Ben"
      em:flush()
      unit.raises("not_loaded", function() return user.note end)
      assert.equal(1, user.writes)
      vetoes = false
      em:flush()
      assert.same({ { "Ben", "touched", "2" } }, work.raw:rows "select name, note, writes from users")
      work:close()
      db:close()
    end)
  end)
end)

-- A type that keeps less than the program gives, alone and inside of embedded values.
local lower = orm.type { column = "string", to_db = string.lower, from_db = function(value) return value end }
local words = orm.type {
  column = "string",
  to_db = function(list) return table.concat(list, " "):lower() end,
  from_db = function(text)
    local list = {}
    for word in text:gmatch "%S+" do list[#list + 1] = word end
    return list
  end,
}
local Label = orm.embeddable { name = "Label",
  { "text", type = lower, nullable = true },
  { "words", type = words, nullable = true },
}
local Box = orm.entity {
  name = "Box", table = "boxes",
  { "id", type = "integer", primary = true },
  { "code", type = lower, nullable = true },
  { "words", type = words, nullable = true },
  { "front", embedded = Label, nullable = true },
  { "back", embedded = Label, object = true, nullable = true },
  { "others", embedded = Label, array = true, nullable = true },
}

databases.each(function(db)
  describe("edges: normal form", function()
    it("U7: of a type that keeps less than it is given, wherever it stands; tables that say the same stay", function()
      local work = unit.open(db, { Box })
      local em, same = work.em, { "c" }
      local box = em:create(Box, { code = "AB", words = same, front = { text = "AB", words = { "A", "b" } },
        back = { text = "AB", words = same }, others = { { text = "ab" }, { words = { "X" } } } })
      local function check()
        local read = work:fork():find_one(Box, box.id)
        for _, name in ipairs { "code", "words", "front", "back", "others" } do assert.same(read[name], box[name]) end
        assert.equal(same, box.words)
        work:forget()
        em:flush()
        assert.same({}, work:statements())
      end
      em:persist_and_flush(box)
      assert.same({ "ab", "ab", "ab", "x" }, { box.code, box.front.text, box.back.text, box.others[2].words[1] })
      check()
      box.code, box.front.words[1], box.back.text, box.others[1].text = "C", "C", "C", "C"
      em:flush()
      check()
      box.back.text = "c"
      box.others[1].text = "C"
      em:flush()
      check()
      work:close()
      db:close()
    end)
  end)
end)

local Fixed = orm.entity { name = "Fixed", table = "fixed", readonly = true,
  { "id", type = "integer", primary = true },
  { "name", type = "string" },
}

databases.each(function(db)
  describe("edges: data", function()
    local work, em

    before_each(function()
      work = unit.open(db, { Account, Fixed })
      em = work.em
    end)

    after_each(function()
      work:close()
      db:close()
    end)

    it("F5: messages name a row by its key and hold none of its values", function()
      local function check(err, name)
        assert.truthy(err.message:find(name, 1, true), err.message)
        assert.is_nil(tostring(err):find("s3cret", 1, true))
      end
      local a, b = em:create(Account, { owner = "s3cret" }), em:create(Account, { owner = "s3cret" })
      em:persist(a, b):flush()
      work.raw:exec("update accounts set version = 5 where id = " .. a.id)
      work.raw:exec("delete from accounts where id = " .. b.id)
      check(unit.raises("optimistic_lock", em.lock, em, a, "optimistic"), "Account#" .. a.id)
      check(unit.raises("not_found", em.transactional, em, function() em:lock(b, "pessimistic_write") end),
        "Account#" .. b.id)
      work.raw:exec "insert into fixed (id, name) values (7, 'x')"
      em:find_one(Fixed, 7).name = "s3cret"
      check(unit.raises("read_only", em.flush, em), "Fixed#7")
    end)

    it("U6: a list with holes or names, an instance or nil are refused, never passed over", function()
      local one = function() return { owner = "Ann", id = 7 } end
      for _, method in ipairs { "insert_many", "upsert_many" } do
        local refused = { one(), { one(), owner = "Ben" }, { [2] = one() }, { one(), [3] = one() }, Account(one()),
          Account, orm.op.eq(1), orm.null, "x" }
        for _, list in ipairs(refused) do unit.raises("validation", em[method], em, Account, list) end
        unit.raises("validation", em[method], em, Account, nil)
        assert.same({}, em[method](em, Account, {}))
      end
      unit.raises("validation", em.upsert, em, Account, nil)
      for _, method in ipairs { "insert", "upsert" } do
        unit.raises("validation", em[method], em, Account, orm.null)
      end
      assert.same({}, work.raw:rows "select id from accounts")
    end)
  end)
end)
