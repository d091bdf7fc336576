--- What commands that change a schema have in common: their options, and how changes are told.
local changes = {}

-- "users.name=full_name", "users=people": from -> to.
local function read_renames(app, given)
  local renames
  for _, text in ipairs(given or {}) do
    local from, to = text:match("^%s*([^=]-)%s*=%s*([^=]-)%s*$")
    if not from or from == "" or to == "" then
      app:misuse("--rename takes TABLE.COLUMN=NEW or TABLE=NEW, such as users.name=full_name; got '%s'", text)
    end
    renames = renames or {}
    renames[from] = to
  end
  return renames
end

---Adds `--safe`, `--unsafe` and `--rename`.
---@param parser table argparse's
---@param default "safe"|"unsafe"
function changes.add_options(parser, default)
  local function is_default(word) return default == word and " (this is the default)" or "" end
  parser:flag("--safe"):description("Drop nothing" .. is_default("safe") .. ".")
  parser:flag("--unsafe --no-safe"):target("unsafe")
    :description("Drop what no entity describes any more, too" .. is_default("unsafe") .. ".")
  parser:option("--rename"):args(1):count("*"):argname("OLD=NEW")
    :description("TABLE.COLUMN=NEW or TABLE=NEW: a rename, not a drop and an addition. May be given several times.")
end

---Adds what says yes in advance.
---@param parser table argparse's
function changes.add_yes(parser)
  parser:flag("-y --yes --run --force"):target("yes"):description("Do it without being asked.")
end

---Adds `--dry-run`.
---@param parser table argparse's
function changes.add_dry_run(parser)
  parser:flag("--dry-run"):description("Print the SQL, run nothing.")
end

---What the command line says of a change.
---@param app heddle.cli.App
---@param args table
---@param default "safe"|"unsafe"
---@return table options { safe, rename }
function changes.options(app, args, default)
  if args.safe and args.unsafe then app:misuse("--safe and --unsafe say the opposite of each other") end
  local safe = default == "safe"
  if args.safe then safe = true elseif args.unsafe then safe = false end
  return { safe = safe, rename = read_renames(app, args.rename) }
end

---Prints statements that can be given to a database's own program.
---@param app heddle.cli.App
---@param statements string[]
function changes.print_sql(app, statements)
  for _, text in ipairs(statements) do app:say("%s;", (tostring(text):gsub("[;%s]+$", ""))) end
end

---What safe mode left out and what looks like a rename.
---@param app heddle.cli.App
---@param made { left_out: string[]|nil, hints: string[]|nil }
function changes.tell_rest(app, made)
  for _, text in ipairs(made.left_out or {}) do app:note("%s %s", app.err_style.yellow("left out:"), text) end
  for _, text in ipairs(made.hints or {}) do app:note("%s %s", app.err_style.yellow("hint:"), text) end
end

return changes
