--- Views that read what changes: those of others are in the way, and what hangs on Heddle's own must come again with
--- them. Only the live database knows either; a migration that is made for others leaves it to them to say so.
local catalog = require("heddle.schema.postgres.catalog")
local refuse = require("heddle.schema.postgres.refuse")
local render = require("heddle.schema.render")

local dependents = {}

local READERS = [[
select distinct v.relname as name, n.nspname as schema, a.attname as column
from pg_catalog.pg_depend d
  join pg_catalog.pg_rewrite r on r.oid = d.objid
  join pg_catalog.pg_class v on v.oid = r.ev_class and v.oid <> d.refobjid and v.relkind in ('v', 'm')
  join pg_catalog.pg_namespace n on n.oid = v.relnamespace
  left join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid and a.attnum > 0
where d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = pg_catalog.to_regclass(?)
order by 1, 2, 3]]

-- By real schema and name: those that go themselves.
local function own_views(plan, going)
  local own, schema = {}, catalog.own_schema(plan.context, plan.link)
  for _, view in ipairs(going) do own[(view.schema or schema or "") .. "\0" .. view.name] = true end
  return own
end

local function readers(plan, item, own)
  local found = {}
  for _, row in ipairs(catalog.ask(plan.context, plan.link, READERS, render.table(item))) do
    if not own[row.schema .. "\0" .. row.name] then found[#found + 1] = row end
  end
  return found
end

local REMEDY = "drop it first (in a migration, say) and make it again after"

local function check_columns(plan, entry, own)
  local touched = {}
  for _, column in ipairs(entry.columns.dropped) do touched[column.name] = column end
  for _, was in pairs(entry.rebuilt) do touched[was.name] = was end
  for _, change in pairs(entry.retyped) do touched[change.was.name] = change.now end
  if not next(touched) then return end
  for _, row in ipairs(readers(plan, entry.was, own)) do
    local column = row.column and touched[row.column]
    if column then
      refuse(plan.context, entry.now, column, ("view '%s.%s' reads the column, which changes, and is no entity's; %s")
        :format(row.schema, row.name, REMEDY))
    end
  end
end

---Raises `migration` where a view that is not Heddle's reads what changes or goes.
---@param plan table
---@param going table[] views that go, to come again or not
function dependents.check(plan, going)
  if not plan.live then return end
  local own = own_views(plan, going)
  for _, entry in ipairs(plan.entries) do check_columns(plan, entry, own) end
  for _, list in ipairs({ going, plan.changes.dropped }) do
    for _, item in ipairs(list) do
      local row = readers(plan, item, own)[1]
      if row then
        refuse(plan.context, item, nil, ("view '%s.%s' reads '%s', which goes, and is no entity's; %s"):format(
          row.schema, row.name, item.name, REMEDY))
      end
    end
  end
end

-- The owner last: what he owns may be out of the session's hands.
local BELONGINGS = [[
with v as (
  select c.oid, c.relowner, c.relacl, c.reloptions, given.name,
    case c.relkind when 'm' then 'MATERIALIZED VIEW' else 'VIEW' end as kind
  from (select ?::text as name) given join pg_catalog.pg_class c on c.oid = pg_catalog.to_regclass(given.name)
), a as (
  select v.*, a.attname, a.attnum, a.attacl, pg_catalog.quote_ident(a.attname) as attribute
  from v join pg_catalog.pg_attribute a on a.attrelid = v.oid and a.attnum > 0 and not a.attisdropped
)
select 1 as turn, pg_catalog.format('ALTER %s %s SET (%I = %L)', kind, name, option_name, option_value) as sql,
  null as column
from v cross join pg_catalog.pg_options_to_table(reloptions)
union all
select 2, pg_catalog.format('ALTER VIEW %s ALTER COLUMN %s SET DEFAULT %s', name, attribute,
  pg_catalog.pg_get_expr(d.adbin, d.adrelid)), attname
from a join pg_catalog.pg_attrdef d on d.adrelid = a.oid and d.adnum = a.attnum
union all
select 3, pg_catalog.pg_get_triggerdef(t.oid), null
from v join pg_catalog.pg_trigger t on t.tgrelid = v.oid and not t.tgisinternal
union all
select 4, pg_catalog.pg_get_ruledef(r.oid), null
from v join pg_catalog.pg_rewrite r on r.ev_class = v.oid and r.rulename <> '_RETURN'
union all
select 5, pg_catalog.format('COMMENT ON %s %s IS %L', kind, name, pg_catalog.obj_description(oid, 'pg_class')), null
from v where pg_catalog.obj_description(oid, 'pg_class') is not null
union all
select 6, pg_catalog.format('COMMENT ON COLUMN %s.%s IS %L', name, attribute,
  pg_catalog.col_description(oid, attnum)), attname
from a where pg_catalog.col_description(oid, attnum) is not null
union all
select 7, pg_catalog.format('GRANT %s%s ON %s TO %s%s', g.privilege_type, g.attribute, g.name,
  case when g.grantee = 0 then 'PUBLIC' else pg_catalog.quote_ident(r.rolname) end,
  case when g.is_grantable then ' WITH GRANT OPTION' else '' end), g.attname
from (
  select v.name, v.relowner, '' as attribute, null::name as attname, x.*
  from v cross join pg_catalog.aclexplode(v.relacl) x
  union all
  select a.name, a.relowner, ' (' || a.attribute || ')', a.attname, x.*
  from a cross join pg_catalog.aclexplode(a.attacl) x
) g left join pg_catalog.pg_roles r on r.oid = g.grantee
where g.grantee <> g.relowner
union all
select 8, pg_catalog.format('ALTER %s %s OWNER TO %I', kind, name, pg_catalog.pg_get_userbyid(relowner)), null
from v where pg_catalog.pg_get_userbyid(relowner) <> current_user
order by 1, 2]]

---What a view that comes again has beside its text, as statements: options, triggers and rules, comments, who may read
---it and whose it is; of a column where the new view has it, too.
---@param plan table
---@param view table
---@return string[]
function dependents.belongings(plan, view)
  local statements = {}
  if not plan.live then return statements end
  for _, row in ipairs(catalog.ask(plan.context, plan.link, BELONGINGS, render.table(view))) do
    if not row.column or not view.columns or view.columns[row.column] then statements[#statements + 1] = row.sql end
  end
  return statements
end

return dependents
