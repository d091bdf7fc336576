--- `heddle seed`: runs the seeds of a context.
local output = require("heddle.cli.output")

local function list(app, instance)
  local rows = {}
  for i, item in ipairs(instance.seeder:list()) do rows[i] = { item.name, item.path } end
  if #rows == 0 then
    app:note("no seeds in '%s'", instance.config.seeds.path)
  else
    app:table(rows, { "Seed", "File" })
  end
end

local function run(app, instance, names, seed)
  local done = instance.seeder:run(names, {
    seed = seed,
    on_progress = function(name, seconds)
      if seconds then app:say("%s  %s  %s", app.style.green("seeded"), name, output.duration(seconds)) end
    end,
  })
  if #done == 0 then app:note("no seeds in '%s'", instance.config.seeds.path) end
end

return {
  title = "Data",
  {
    name = "seed",
    summary = "Fill tables from the seeds directory.",
    description = "Runs the Lua files of the seeds directory in the order of their names, each in one transaction. "
      .. "What running one twice does is the seed's own affair.",
    examples = {
      { "heddle seed", "every seed of the default context" },
      { "heddle seed users books", "these two, in that order" },
      { "heddle seed --all", "every context" },
      { "heddle seed --seed 7", "other fake data" },
      { "heddle seed --list", "which seeds there are" },
    },
    arguments = function(parser)
      parser:argument("name"):args("*"):argname("SEED"):description("The seeds to run (default: all).")
      parser:option("--seed"):argname("N"):description("What fake data is made from (default: 1).")
      parser:flag("--list"):description("Show the seeds, and run none.")
    end,
    run = function(app, args)
      return app:each(function(instance)
        if args.list then return list(app, instance) end
        return run(app, instance, #args.name > 0 and args.name or nil, args.seed)
      end)
    end,
  },
}
