--- `heddle console`: a REPL with every context's entity managers and entities at hand.
local function contexts_of(app)
  local chosen, list, is_chosen = app:contexts(), {}, {}
  for i, instance in ipairs(chosen) do list[i], is_chosen[instance] = instance, true end
  for _, instance in ipairs(app:others()) do
    if not is_chosen[instance] then list[#list + 1] = instance end
  end
  return list
end

return {
  title = "Console",
  {
    name = "console",
    summary = "Lua with the project's contexts and entities at hand.",
    description = "Reads Lua and shows what it gives. `em` is the entity manager of the context, `em_NAME` of each "
      .. "other one, entities stand under their names; .help says more. With --execute, FILE and a pipe, the exit "
      .. "code is 1 when something has failed.",
    examples = {
      { "heddle console", "type, and see" },
      { "heddle console --execute 'em:count(User, {})'", "one result" },
      { "heddle console cleanup.lua", "run a file" },
      { "echo 'em:find_all(User, {})' | heddle console", "from a pipe" },
    },
    arguments = function(parser)
      parser:argument("file"):args("?"):argname("FILE"):description("A Lua file to run instead of reading lines.")
      parser:option("-e --execute"):argname("CODE"):description("Lua to run instead of reading lines.")
      parser:flag("--no-history"):description("Keep nothing of what is typed.")
    end,
    run = function(app, args)
      return require("heddle.console").run({
        contexts = contexts_of(app), streams = app.io, execute = args.execute, file = args.file,
        history = not args.no_history, is_plain = args.no_color,
      })
    end,
  },
}
