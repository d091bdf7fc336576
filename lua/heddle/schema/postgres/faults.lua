--- Which text of a table it is that the server refused: the table is made again piece by piece until it shows.
local catalog = require("heddle.schema.postgres.catalog")
local compat = require("heddle.compat")
local errors = require("heddle.errors")
local quote = require("heddle.quote")
local raw_sql = require("heddle.raw_sql")
local render = require("heddle.schema.render")
local scratch = require("heddle.schema.postgres.scratch")

local faults = {}

-- Every piece as a statement, with what it is called and the property that it belongs to.
local function pieces_of(t)
  local draft, list = scratch.draft(t), {}
  local place = render.table(draft)
  local function add(statement, what, column)
    list[#list + 1] = { statement = statement, what = what, property = column and (column.property or column.name) }
  end
  local function add_columns(generated)
    for _, column in ipairs(draft.columns) do
      if (column.generated ~= nil) == generated then
        local bare = setmetatable({ default = false }, { __index = column })
        local what = generated and "the expression of the generated column: " .. column.generated
          or "type " .. column.type
        add(("ALTER TABLE %s ADD %s"):format(place, render.column(bare, "postgres")), what, column)
      end
    end
  end
  add_columns(false)
  for _, column in ipairs(draft.columns) do
    if column.default and not column.generated then
      add(("ALTER TABLE %s ALTER %s SET DEFAULT %s"):format(place, quote.name(column.name), column.default),
        "the default " .. column.default, column)
    end
  end
  add_columns(true)
  for _, check in ipairs(t.checks) do
    add(render.add(draft, render.check(check)), ("check '%s': %s"):format(check.name, check.expression))
  end
  if t.primary then add(render.add(draft, render.primary(t.primary)), "the primary key") end
  for _, unique in ipairs(t.uniques) do
    add(render.add(draft, render.unique(unique)), ("unique key '%s'"):format(unique.name))
  end
  for _, index in ipairs(t.indexes) do
    local statement = render.index(draft, index, "postgres")
    add(statement, ("index '%s': %s"):format(index.name, statement:match(" ON .- (%(.*)$") or statement))
  end
  return list, place
end

local function find(context, link, t)
  return scratch.within(context, link, function()
    scratch.clear(context, link)
    local list, place = pieces_of(t)
    raw_sql.statement(context, link, ("CREATE TABLE %s ()"):format(place))
    for _, piece in ipairs(list) do
      local ok, err = compat.pcall(raw_sql.statement, context, link, piece.statement)
      if not ok then
        piece.cause = err
        return piece
      end
    end
  end)
end

---Raises what is wrong with a table that could not be made.
---@param context table
---@param link userdata
---@param t table wanted
---@param err table what the server said
function faults.raise(context, link, t, err)
  if err.sqlstate == "42501" and not catalog.may_make_temporary(context, link) then
    errors.raise("migration", ("context '%s': to compare, the database is asked by temporary tables, and this role "
      .. "may not make them: GRANT TEMPORARY ON DATABASE ..., or compare with another role"):format(context.name),
      { context = context.name, entity = t.entity, cause = err, sqlstate = err.sqlstate })
  end
  -- A lost connection, a timeout, a full disk: nothing to do with the texts.
  if not (err.sqlstate and err.sqlstate:find("^[0245][2A4]")) then error(err, 0) end
  local ok, piece = compat.pcall(find, context, link, t)
  if not ok or not piece then error(err, 0) end
  local fault = piece.cause
  -- Where in the text is of no use: it is another text that was sent.
  local words = fault.message:gsub(", at character %d+", "")
  local who = (t.entity or t.name) .. (piece.property and "." .. piece.property or "")
  errors.raise("metadata", ("%s: PostgreSQL does not take %s: %s"):format(who, piece.what, words), {
    context = context.name, entity = t.entity, property = piece.property, table = t.name, sqlstate = fault.sqlstate,
    detail = fault.detail or tostring(fault.cause), hint = fault.hint, cause = fault,
  })
end

return faults
