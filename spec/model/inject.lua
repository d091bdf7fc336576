--- Failures on demand: at the k-th row that a flush writes, at COMMIT, in a hook, or the connection is gone.
---
---     local inject = require("spec.model.inject")
---     inject.prepare(work)                             -- triggers; once for each database
---     inject.arm(work, em, { "row", 3 })               -- the third row written fails
---     local ok, err = pcall(em.flush, em)
---     inject.disarm(work, em)
---     assert(ok or inject.is_mine(work, { "row", 3 }, err))
---
--- What counts on PostgreSQL is a sequence, which no rollback resets. On SQLite it is a table, set on the entity
--- manager's own connection, because another one could not write while a transaction is open.

local orm = require("heddle")
local schema = require("spec.model.schema")

local inject = {}

local postgres = { [[
  create sequence fault;
  create sequence commit_fault;
  create function strike() returns trigger language plpgsql as $$
  declare n bigint := nextval('fault');
  begin
    if n = 1000000000 then raise exception 'injected'; end if;
    if n = 2000000000 then perform pg_terminate_backend(pg_backend_pid()); end if;
    if tg_op = 'DELETE' then return old; end if;
    return new;
  end $$;
  create function strike_late() returns trigger language plpgsql as $$
  begin
    if (select last_value from commit_fault) > 1 then raise exception 'injected'; end if;
    return null;
  end $$]],
}

function postgres.trigger(name)
  return (([[create trigger strike before insert or update or delete on T for each row execute function strike();
    create constraint trigger strike_late after insert or update or delete on T
    deferrable initially deferred for each row execute function strike_late()]]):gsub("T", name))
end

function postgres.arm(work, _, kind, at)
  local start = ({ row = 1000000000, kill = 2000000000 })[kind]
  if start then work.raw:rows(("select setval('fault', %d, false)"):format(start - at + 1)) end
  if kind == "commit" then work.raw:rows("select setval('commit_fault', 2)") end
end

function postgres.disarm(work)
  work.raw:rows("select setval('fault', 1), setval('commit_fault', 1)")
end

local sqlite = {
  "create table fault (n integer, late integer)",
  "insert into fault values (0, 0)",
  "create table nowhere (id integer primary key)",
  "create table broken (id integer primary key, ref integer references nowhere deferrable initially deferred)",
}

function sqlite.trigger(name)
  local texts = {}
  for i, event in ipairs({ "insert", "update", "delete" }) do
    texts[i] = ([[create trigger strike_%s_%s before %s on %s when (select n + late from fault) > 0 begin
      update fault set n = n - 1 where n > 0;
      select raise(abort, 'injected') from fault where n = 0 and late = 0;
      insert or ignore into broken select 1, 1 from fault where late > 0;
    end]]):format(name, event, event, name)
  end
  return texts[1], texts[2], texts[3]
end

function sqlite.arm(_, em, kind, at)
  if kind == "row" then em:execute("update fault set n = ?", at) end
  if kind == "commit" then em:execute("update fault set late = 1") end
end

function sqlite.disarm(_, em)
  em:execute("update fault set n = 0, late = 0")
  em:execute("delete from broken")
end

local drivers = { postgres = postgres, sqlite = sqlite }

--- Puts the triggers into a database.
function inject.prepare(work)
  local driver = drivers[work.db.name]
  for _, sql in ipairs(driver) do work.raw:exec(sql) end
  for _, kind in ipairs(schema.names) do
    for _, sql in ipairs({ driver.trigger(schema.tables[kind]) }) do work.raw:exec(sql) end
  end
  for _, sql in ipairs({ driver.trigger(schema.pivot) }) do work.raw:exec(sql) end
end

-- Hooks ----------------------------------------------------------------------------------------------------

local events = {
  before = { "before_create", "before_update", "before_delete" },
  after = { "after_create", "after_update", "after_delete" },
  before_flush = { "before_flush" }, on_flush = { "on_flush" }, after_flush = { "after_flush" },
}

--- Kinds of failures that a driver can have.
inject.kinds = {
  sqlite = { "row", "row", "row", "commit", "before", "after", "before_flush", "on_flush", "after_flush" },
  postgres = { "row", "row", "row", "commit", "before", "after", "before_flush", "on_flush", "after_flush" },
}

local off = {}

local function listen(work, names, at)
  local left = at
  for _, name in ipairs(names) do
    off[#off + 1] = work.instance:on(name, function()
      left = left - 1
      if left == 0 then error("injected", 0) end
    end)
  end
end

--- The next flush or commit fails, when it comes that far: { kind, at }.
function inject.arm(work, em, fault)
  if events[fault[1]] then return listen(work, events[fault[1]], fault[2]) end
  drivers[work.db.name].arm(work, em, fault[1], fault[2])
end

--- Nothing fails any more.
function inject.disarm(work, em, fault)
  for _, each in ipairs(off) do each() end
  off = {}
  if not events[fault[1]] then drivers[work.db.name].disarm(work, em) end
end

--- Whether an error is what was asked for.
function inject.is_mine(work, fault, err)
  if events[fault[1]] then return err == "injected" end
  if fault[1] == "kill" then return orm.is_error(err, "connection") end
  if not orm.is_error(err) then return false end
  local told = tostring(err.cause) .. tostring(err.detail)
  if fault[1] == "commit" and work.db.name == "sqlite" then return err.kind == "foreign_key_violation" end
  return told:find("injected", 1, true) ~= nil
end

return inject
