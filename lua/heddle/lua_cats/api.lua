--- The part of the file of `heddle types` that is the same in every project: Heddle's own calls.
local api = {}

-- Members of a generic class stand in its own line, the form that older language servers understand too.
local collection = {
  "[integer]: T",
  "add: fun(self: heddle.Collection<T>, ...: T|T[])", "remove: fun(self: heddle.Collection<T>, ...: T)",
  "set: fun(self: heddle.Collection<T>, members: T[])", "remove_all: fun(self: heddle.Collection<T>)",
  "contains: (fun(self: heddle.Collection<T>, member: T): boolean)",
  "count: (fun(self: heddle.Collection<T>): integer)",
  "items: (fun(self: heddle.Collection<T>): T[])",
  "iter: (fun(self: heddle.Collection<T>): fun(): integer, T)",
  "load: (fun(self: heddle.Collection<T>, opts?: table): heddle.Collection<T>)",
  "load_count: (fun(self: heddle.Collection<T>, opts?: table): integer)",
  "matching: (fun(self: heddle.Collection<T>, where: table, opts?: table): T[])",
  "is_initialized: (fun(self: heddle.Collection<T>): boolean)", "is_dirty: (fun(self: heddle.Collection<T>): boolean)",
}

local repository = {
  "find: (fun(self: heddle.Repository<T>, where: table, opts?: heddle.FindOptions): T[])",
  "find_one: (fun(self: heddle.Repository<T>, where: any, opts?: heddle.FindOptions): T?)",
  "find_one_or_fail: (fun(self: heddle.Repository<T>, where: any, opts?: heddle.FindOptions): T)",
  "find_all: (fun(self: heddle.Repository<T>, opts?: heddle.FindOptions): T[])",
  "find_and_count: (fun(self: heddle.Repository<T>, where: table, opts?: heddle.FindOptions): T[], integer)",
  "count: (fun(self: heddle.Repository<T>, where: table, opts?: table): integer)",
  "create: (fun(self: heddle.Repository<T>, data?: table): T)",
  "get_reference: (fun(self: heddle.Repository<T>, id: any): T)",
  "stream: (fun(self: heddle.Repository<T>, where: table, opts?: table): fun(): T)",
  "insert: (fun(self: heddle.Repository<T>, data: table): any)",
  "update_where: (fun(self: heddle.Repository<T>, where: table, data: table, opts?: table): integer)",
  "delete_where: (fun(self: heddle.Repository<T>, where: table, opts?: table): integer)",
  "upsert: (fun(self: heddle.Repository<T>, data: table, opts?: table): T, boolean)",
  "persist: (fun(self: heddle.Repository<T>, ...: T): heddle.Repository<T>)",
  "remove: (fun(self: heddle.Repository<T>, ...: T): heddle.Repository<T>)", "flush: fun(self: heddle.Repository<T>)",
  "em: heddle.EntityManager",
}

local function generic(name, members)
  return ("---@class %s<T>: { %s }\n"):format(name, table.concat(members, ", "))
end

local OPTIONS = [[
---@class heddle.FindOptions
---@field populate? string[]
---@field fields? string[]
---@field exclude? string[]
---@field order_by? string|table
---@field limit? integer
---@field offset? integer
---@field strategy? "select_in"|"joined"
---@field lock? string
---@field filters? table|boolean
---@field managed? boolean
---@field connection? "read"|"write"
---@field refresh? boolean
---@field timeout? number

---@class heddle.CursorOptions: heddle.FindOptions
---@field first? integer
---@field after? string
---@field last? integer
---@field before? string
---@field count? boolean
]]

-- Methods of the entity manager by what they take and give: name, parameters, results, summary. "T" is the entity.
local methods = {
  { "create", { "entity: T", "data?: table" }, { "T" }, "A new instance; the next flush inserts it once persisted." },
  { "persist", { "e: table", "...: table" }, { "heddle.EntityManager" }, "What the next flush writes." },
  { "remove", { "e: table", "...: table" }, { "heddle.EntityManager" }, "What the next flush deletes." },
  { "flush", {}, {}, "Writes everything that changed, in one transaction." },
  { "persist_and_flush", { "e: T" }, { "T" } },
  { "remove_and_flush", { "e: T" }, { "T" } },
  { "assign", { "e: T", "data: table" }, { "T" } },
  { "clear", {}, {} },
  { "refresh", { "e: T" }, { "T" } },
  { "merge", { "e: T" }, { "T" } },
  { "detach", { "e: table" }, {} },
  { "contains", { "e: table" }, { "boolean" } },
  { "changes", {}, { "table[]" } },
  { "find", { "entity: T", "where: table", "opts?: heddle.FindOptions" }, { "T[]" } },
  { "find_one", { "entity: T", "where: any", "opts?: heddle.FindOptions" }, { "T?" }, "By key, or by a filter." },
  { "find_one_or_fail", { "entity: T", "where: any", "opts?: heddle.FindOptions" }, { "T" } },
  { "find_all", { "entity: T", "opts?: heddle.FindOptions" }, { "T[]" } },
  { "find_and_count", { "entity: T", "where: table", "opts?: heddle.FindOptions" }, { "T[]", "integer" } },
  { "find_by_cursor", { "entity: T", "where: table", "opts: heddle.CursorOptions" }, { "table" } },
  { "count", { "entity: T", "where: table", "opts?: table" }, { "integer" } },
  { "stream", { "entity: T", "where: table", "opts?: heddle.FindOptions" }, { "fun(): T" } },
  { "get_reference", { "entity: T", "id: any" }, { "T" } },
  { "load", { "e: T", "paths: string[]", "opts?: table" }, { "T" } },
  { "map", { "entity: T", "row: table" }, { "T" } },
  { "insert", { "entity: T", "data: table" }, { "any" }, "Writes one row at once and gives its key." },
  { "insert_many", { "entity: T", "list: table[]" }, { "any[]" } },
  { "update_where", { "entity: T", "where: table", "data: table", "opts?: table" }, { "integer" } },
  { "delete_where", { "entity: T", "where: table", "opts?: table" }, { "integer" } },
  { "upsert", { "entity: T", "data: table", "opts?: table" }, { "T", "boolean" } },
  { "upsert_many", { "entity: T", "list: table[]", "opts?: table" }, { "T[]" } },
  { "transactional", { "fn: fun(em: heddle.EntityManager): ...", "opts?: table" }, { "any" } },
  { "begin", { "opts?: table" }, { "table" } },
  { "commit", {}, {} },
  { "rollback", {}, {} },
  { "in_transaction", {}, { "boolean" } },
  { "lock", { "e: table", "mode: string", "version?: any" }, {} },
  { "query", { "entity: T", "alias?: string" }, { "heddle.Query" } },
  { "execute", { "sql: string", "...: any" }, { "any" } },
  { "fork", { "opts?: table" }, { "heddle.EntityManager" } },
  { "repository", { "entity: T" }, { "heddle.Repository<T>" } },
}

local function is_generic(method)
  for _, list in ipairs({ method[2], method[3] }) do
    for _, text in ipairs(list) do
      if text:find("%f[%w]T%f[^%w]") then return true end
    end
  end
end

-- One function of the file.
local function written(owner, separator, method)
  local lines, names = {}, {}
  if method[4] then lines[1] = "---" .. method[4] end
  if is_generic(method) then lines[#lines + 1] = "---@generic T" end
  for i, text in ipairs(method[2]) do
    local name, kind = text:match("^([%w_.?]+): (.*)$")
    lines[#lines + 1] = "---@param " .. name .. " " .. kind
    names[i] = (name:gsub("%?", ""))
  end
  for _, text in ipairs(method[3]) do lines[#lines + 1] = "---@return " .. text end
  lines[#lines + 1] = ("function %s%s%s(%s) end"):format(owner, separator, method[1], table.concat(names, ", "))
  return table.concat(lines, "\n") .. "\n"
end

local INSTANCE = [[
---@class heddle.Instance
---@field context_name string
---@field config table
---@field em heddle.EntityManager
---@field schema heddle.Schema
---@field migrator heddle.Migrator
---@field seeder heddle.Seeder
---@field connect fun(self: heddle.Instance): heddle.Instance
---@field check_connection fun(self: heddle.Instance): boolean, any
---@field pool_stats fun(self: heddle.Instance): table
---@field on fun(self: heddle.Instance, event: string, fn: function)
---@field close fun(self: heddle.Instance)

---@class heddle.Schema
---@field create fun(self: heddle.Schema)
---@field drop fun(self: heddle.Schema)
---@field update fun(self: heddle.Schema, opts?: table): string[]
---@field diff fun(self: heddle.Schema, opts?: table): string[]
---@field create_sql fun(self: heddle.Schema): string[]
---@field drop_sql fun(self: heddle.Schema): string[]
---@field update_sql fun(self: heddle.Schema, opts?: table): string[]
---@field diagram fun(self: heddle.Schema, format?: "mermaid"|"dot"|"svg"): string
]]

local functions = {
  { "init", { "opts: table" }, { "heddle.Instance" }, "Registers a context; nothing is connected yet." },
  { "instance", { "name?: string" }, { "heddle.Instance" } },
  { "em", { "name?: string" }, { "heddle.EntityManager" } },
  { "get_context", { "name?: string" }, { "heddle.EntityManager" } },
  { "repository", { "entity: T", "name?: string" }, { "heddle.Repository<T>" } },
  { "request_context", { "fn: fun(...): ...", "...: any" }, { "any" } },
  { "register", { "entities: table", "name?: string" }, {} },
  { "contexts", {}, { "string[]" } },
  { "close", { "name?: string" }, {} },
  { "entity", { "definition: table" }, { "table" } },
  { "embeddable", { "definition: table" }, { "table" } },
  { "metadata", { "entity: table" }, { "table" } },
  { "type", { "definition: table" }, { "table" } },
  { "array", { "items: T[]" }, { "T[]" } },
  { "now", {}, { "number" } },
  { "date", { "format: string", "time: number" }, { "string" } },
  { "raw", { "sql: string", "...: any" }, { "any" } },
  { "is_error", { "err: any", "kind?: string" }, { "boolean" } },
  { "is_initialized", { "e: table" }, { "boolean" } },
  { "to_table", { "e: table", "opts?: table" }, { "table" } },
  { "bind", { "fn: T" }, { "T" } },
  { "wrap", { "fn: T" }, { "T" } },
  { "use", { "adapter: any" }, {} },
  { "testing", { "name?: string", "fn?: function" }, { "any" } },
  { "env", { "path?: string" }, { "table" } },
  { "config_from_env", { "prefix?: string", "overrides?: table" }, { "table" } },
}

local function all()
  local parts = {
    "---@meta heddle\n-- Written by `heddle types`; run it again when entities have changed. No program loads it.\n"
      .. "\n---@class heddle\n---@field null lightuserdata\n---@field op table<string, function>\n---@field fn table\n"
      .. "local orm = {}\n",
    OPTIONS, generic("heddle.Collection", collection), generic("heddle.Repository", repository), INSTANCE,
    "---@class heddle.EntityManager\n---@field context_name string\n---@field instance heddle.Instance\n"
      .. "local EntityManager = {}\n",
  }
  for _, method in ipairs(methods) do parts[#parts + 1] = written("EntityManager", ":", method) end
  for _, method in ipairs(functions) do parts[#parts + 1] = written("orm", ".", method) end
  return table.concat(parts, "\n")
end

api.head = all()
api.tail = "return orm\n"

return api
