--- What is asked of PostgreSQL's catalog: one query for all tables of all schemas, for each kind of thing.
---
--- Every name is qualified, because the session's `search_path` may put something else before the catalog. What the
--- server words (types, defaults, conditions) it words by that very `search_path`: two readings compare only when
--- one session made both.
local compat = require("heddle.compat")
local raw_sql = require("heddle.raw_sql")

local catalog = {}

-- The relations meant: `rel`. An extension's members belong to the extension, partitions to their table.
local RELATIONS = [[
with rel as materialized (
  select c.oid, n.nspname, c.relname, c.relkind
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any (pg_catalog.string_to_array(?, pg_catalog.chr(1)))
    and c.relkind in ('r', 'p', 'f', 'v', 'm') and not c.relispartition
    and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      and d.objid = c.oid and d.deptype = 'e'))
]]

local TABLES = RELATIONS .. [[
select rel.oid as id, rel.nspname as schema, rel.relname as name, rel.relkind::text as kind,
  exists (select from pg_catalog.pg_inherits i where rel.relkind = 'r' and rel.oid in (i.inhrelid, i.inhparent))
    as inherits,
  pg_catalog.obj_description(rel.oid, 'pg_class') as comment,
  case when rel.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(rel.oid) end as sql
from rel order by rel.nspname collate "C", rel.relname collate "C"]]

local COLUMNS = RELATIONS .. [[
select a.attrelid as id, a.attname as name, pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
  a.attnotnull as required, pg_catalog.pg_get_expr(d.adbin, d.adrelid) as expression,
  nullif(a.attidentity::text, '') as identity, nullif(a.attgenerated::text, '') as generated,
  case when a.attcollation <> t.typcollation then
    case when cn.nspname = 'pg_catalog' then '' else pg_catalog.quote_ident(cn.nspname) || '.' end
      || pg_catalog.quote_ident(co.collname) end as collation,
  pg_catalog.col_description(a.attrelid, a.attnum) as comment,
  (select s.oid::pg_catalog.regclass::text
    from pg_catalog.pg_depend own join pg_catalog.pg_class s on s.oid = own.objid and s.relkind = 'S'
    where own.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and own.refclassid = own.classid
      and own.refobjid = a.attrelid and own.refobjsubid = a.attnum and own.deptype = 'a'
      and exists (select from pg_catalog.pg_depend uses where uses.objid = d.oid and uses.refobjid = s.oid
        and uses.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass)
    limit 1) as sequence
from rel join pg_catalog.pg_attribute a on a.attrelid = rel.oid
  join pg_catalog.pg_type t on t.oid = a.atttypid
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  left join pg_catalog.pg_collation co on co.oid = a.attcollation
  left join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace
where rel.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum]]

local CONSTRAINTS = RELATIONS .. [[
select con.conrelid as id, con.conname as name, con.contype::text as kind,
  (select pg_catalog.array_agg(a.attname::text order by k.place)
    from pg_catalog.unnest(con.conkey) with ordinality k(number, place)
    join pg_catalog.pg_attribute a on a.attrelid = con.conrelid and a.attnum = k.number) as columns,
  tn.nspname as target_schema, tc.relname as target,
  (select pg_catalog.array_agg(a.attname::text order by k.place)
    from pg_catalog.unnest(con.confkey) with ordinality k(number, place)
    join pg_catalog.pg_attribute a on a.attrelid = con.confrelid and a.attnum = k.number) as target_columns,
  con.confdeltype::text as on_delete, con.confupdtype::text as on_update,
  con.condeferrable as deferrable, con.condeferred as deferred,
  case when con.contype = 'c' then pg_catalog.pg_get_expr(con.conbin, con.conrelid) end as expression
from rel join pg_catalog.pg_constraint con on con.conrelid = rel.oid
  left join pg_catalog.pg_class tc on tc.oid = con.confrelid
  left join pg_catalog.pg_namespace tn on tn.oid = tc.relnamespace
where con.contype in ('p', 'u', 'f', 'c') and con.conparentid = 0
order by con.conrelid, con.conname collate "C"]]

-- Keys of constraints have their index in the constraint.
local INDEXES = RELATIONS .. [[
select i.indrelid as id, ic.relname as name, i.indisunique as is_unique, am.amname as method, i.indisvalid as valid,
  pg_catalog.pg_get_expr(i.indpred, i.indrelid) as condition,
  (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'column', a.attname, 'included', k > i.indnkeyatts,
      'expression', case when i.indkey[k - 1] = 0 then pg_catalog.pg_get_indexdef(i.indexrelid, k, false) end,
      'option', i.indoption[k - 1],
      'opclass', case when not oc.opcdefault then
        case when pg_catalog.pg_opclass_is_visible(oc.oid) then '' else pg_catalog.quote_ident(ocn.nspname) || '.' end
          || pg_catalog.quote_ident(oc.opcname) end,
      'collation', case when i.indcollation[k - 1] <> coalesce(a.attcollation, t.typcollation) then
        case when cn.nspname = 'pg_catalog' then '' else pg_catalog.quote_ident(cn.nspname) || '.' end
          || pg_catalog.quote_ident(co.collname) end) order by k)
    from pg_catalog.generate_series(1, i.indnatts::int) k
    join pg_catalog.pg_attribute own on own.attrelid = i.indexrelid and own.attnum = k
    join pg_catalog.pg_type t on t.oid = own.atttypid
    left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k - 1] and a.attnum <> 0
    left join pg_catalog.pg_opclass oc on oc.oid = i.indclass[k - 1]
    left join pg_catalog.pg_namespace ocn on ocn.oid = oc.opcnamespace
    left join pg_catalog.pg_collation co on co.oid = i.indcollation[k - 1]
    left join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace) as parts
from rel join pg_catalog.pg_index i on i.indrelid = rel.oid
  join pg_catalog.pg_class ic on ic.oid = i.indexrelid
  join pg_catalog.pg_am am on am.oid = ic.relam
where rel.relkind in ('r', 'p') and not exists (select from pg_catalog.pg_constraint con
  where con.conindid = i.indexrelid and con.contype in ('p', 'u', 'x'))
order by i.indrelid, ic.relname collate "C"]]

---Rows of a query.
---
---Usage: `catalog.ask(context, link, "select current_schema() as name")[1].name`
---@param context table
---@param link userdata
---@param sql string with `?` for what follows; where nothing does, as it stands
---@return table[]
function catalog.ask(context, link, sql, ...)
  if select("#", ...) == 0 then return raw_sql.rows(context, link, sql) end
  return (context:run_sql(link, sql, compat.pack(...)))
end

---The session's own schema, nil when nothing that `search_path` names is there.
---@return string|nil
function catalog.own_schema(context, link)
  return catalog.ask(context, link, "select pg_catalog.current_schema() as name")[1].name
end

---How many bytes of a name the server keeps.
---@return integer
function catalog.longest_name(context, link)
  local row = catalog.ask(context, link,
    "select pg_catalog.current_setting('max_identifier_length')::int as longest")[1]
  return row.longest
end

---Whether the role may make temporary tables.
---@return boolean
function catalog.may_make_temporary(context, link)
  return catalog.ask(context, link, [[select pg_catalog.has_database_privilege(pg_catalog.current_database(),
    'TEMPORARY') as may]])[1].may
end

local SERIALS = [[
select n.nspname || pg_catalog.chr(1) || c.relname || pg_catalog.chr(1) || a.attname as path,
  pg_catalog.pg_get_expr(d.adbin, d.adrelid) as expression
from pg_catalog.pg_depend own join pg_catalog.pg_class s on s.oid = own.objid and s.relkind = 'S'
  join pg_catalog.pg_class c on c.oid = own.refobjid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = own.refobjsubid
  join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where own.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and own.refclassid = own.classid and own.deptype = 'a'
  and exists (select from pg_catalog.pg_depend uses where uses.objid = d.oid and uses.refobjid = s.oid
    and uses.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass)]]

---The defaults of columns that take from a sequence of their own, by schema, table and column.
---@return table<string, string>
function catalog.serials(context, link)
  local known = {}
  for _, row in ipairs(catalog.ask(context, link, SERIALS)) do known[row.path] = row.expression end
  return known
end

---Everything that the catalog says of these schemas.
---@param context table
---@param link userdata
---@param schemas string[]
---@return table rows `{ tables = {..}, columns = {..}, constraints = {..}, indexes = {..} }`
function catalog.read(context, link, schemas)
  local names = table.concat(schemas, "\1")
  return {
    tables = catalog.ask(context, link, TABLES, names), columns = catalog.ask(context, link, COLUMNS, names),
    constraints = catalog.ask(context, link, CONSTRAINTS, names),
    indexes = catalog.ask(context, link, INDEXES, names),
  }
end

return catalog
