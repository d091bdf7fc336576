--- A family of entities in one table, and what they relate to: Person; Employee and Customer, which extend it; Manager,
--- which extends Employee. `staff.define()` makes them anew, with a log of hooks.

local orm = require "heddle"

local staff = {}

function staff.define()
    local made = { log = {} }
    local function note(what)
        return function(e) made.log[#made.log + 1] = what .. " " .. tostring(rawget(e, "name")) end
    end

    made.Team = orm.entity {
        name = "Team", table = "teams",
        { "id", type = "integer", primary = true },
        { "name", type = "string" },
        { "members", one_to_many = "Person", mapped_by = "team" },
        { "staff", many_to_many = "Employee" },
    }
    made.Person = orm.entity {
        name = "Person", table = "people", discriminator_column = "kind",
        { "id", type = "integer", primary = true },
        { "name", type = "string" },
        { "email", type = "string", nullable = true, unique = true },
        { "team", many_to_one = "Team", nullable = true },
        { "boss", many_to_one = "Manager", nullable = true },
        { "version", type = "integer", version = true },
        hooks = { before_create = note "person", on_load = note "load person" },
    }
    made.Employee = orm.entity {
        name = "Employee", extends = made.Person,
        { "salary", type = "integer" },
        { "badge", type = "string", nullable = true, unique = true },
        { "notes", type = "text", nullable = true, lazy = true },
        { "mentor", many_to_one = "Employee", nullable = true },
        { "since", type = "date", nullable = true, on_create = function() return "2020-01-01" end },
        hooks = { before_create = note "employee", on_load = note "load employee" },
        checks = { "salary > 0" },
    }
    made.Manager = orm.entity {
        name = "Manager", extends = made.Employee, discriminator_value = "boss",
        { "bonus", type = "decimal", precision = 10, scale = 2, default = "5" },
        { "reports", one_to_many = "Person", mapped_by = "boss" },
        hooks = { before_create = note "manager" },
    }
    made.Customer = orm.entity {
        name = "Customer", extends = made.Person,
        { "credit", type = "decimal", precision = 10, scale = 2, default_sql = "10" },
        { "level", type = "enum", enum = { "low", "high" }, default = "low" },
        { "secret", type = "string", nullable = true, hidden = true },
        { "tags", type = "json", nullable = true },
        { "contact", many_to_one = "Employee", nullable = true },
    }
    function made.Person:label() return "person " .. self.name end
    function made.Employee:pay() return self.salary * 12 end
    function made.Manager:label() return "manager " .. made.Person.label(self) end
    made.entities = { made.Team, made.Person, made.Employee, made.Manager, made.Customer }
    return made
end

return staff
