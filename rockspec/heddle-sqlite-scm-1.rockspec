-- Written by `make rockspec`.
rockspec_format = "3.0"
package = "heddle-sqlite"
version = "scm-1"
source = {
    url = "file://.",
}
description = {
    summary = "A data-mapper ORM for SQLite, with its core in C",
    detailed = "Several named database connections, an identity map, a unit of work, repositories and request " ..
        "contexts, on Lua 5.1, 5.3, 5.4 and LuaJIT.",
    license = "MIT",
}
dependencies = {
    "lua >= 5.1, < 5.5",
}
external_dependencies = {
    SQLITE = { header = "sqlite3.h", library = "sqlite3" },
}
build = {
    type = "builtin",
    modules = {
        ["heddle.core"] = {
            sources = {
                "csrc/core/base/alloc.c",
                "csrc/core/base/arena.c",
                "csrc/core/base/buffer.c",
                "csrc/core/base/datetime.c",
                "csrc/core/base/decimal.c",
                "csrc/core/base/error.c",
                "csrc/core/base/json_hash.c",
                "csrc/core/base/json_read.c",
                "csrc/core/base/json_write.c",
                "csrc/core/base/number.c",
                "csrc/core/base/utf8.c",
                "csrc/core/base/uuid.c",
                "csrc/core/base/value.c",
                "csrc/core/identity.c",
                "csrc/core/link.c",
                "csrc/core/pool.c",
                "csrc/core/session.c",
                "csrc/core/undo.c",
                "csrc/core/wake.c",
            },
            defines = { "_GNU_SOURCE" },
            incdirs = { "csrc/core", "csrc" },
            libraries = { "m" },
        },
        ["heddle.sqlite"] = {
            sources = {
                "csrc/core/base/alloc.c",
                "csrc/core/base/arena.c",
                "csrc/core/base/buffer.c",
                "csrc/core/base/datetime.c",
                "csrc/core/base/decimal.c",
                "csrc/core/base/error.c",
                "csrc/core/base/json_hash.c",
                "csrc/core/base/json_read.c",
                "csrc/core/base/json_write.c",
                "csrc/core/base/number.c",
                "csrc/core/base/utf8.c",
                "csrc/core/base/uuid.c",
                "csrc/core/base/value.c",
                "csrc/drivers/sqlite/busy.c",
                "csrc/drivers/sqlite/cache.c",
                "csrc/drivers/sqlite/connect.c",
                "csrc/drivers/sqlite/errors.c",
                "csrc/drivers/sqlite/options.c",
                "csrc/drivers/sqlite/script.c",
                "csrc/binding/open_sqlite.c",
            },
            defines = { "_GNU_SOURCE" },
            incdirs = { "csrc/core", "csrc", "$(SQLITE_INCDIR)" },
            libraries = { "sqlite3", "m" },
            libdirs = { "$(SQLITE_LIBDIR)" },
        },
        ["heddle.array"] = "lua/heddle/array.lua",
        ["heddle.class"] = "lua/heddle/class.lua",
        ["heddle.compat"] = "lua/heddle/compat.lua",
        ["heddle.constraints"] = "lua/heddle/constraints.lua",
        ["heddle.definition"] = "lua/heddle/definition.lua",
        ["heddle.entity"] = "lua/heddle/entity.lua",
        ["heddle.errors"] = "lua/heddle/errors.lua",
        ["heddle.filter"] = "lua/heddle/filter.lua",
        ["heddle.filter_list"] = "lua/heddle/filter_list.lua",
        ["heddle.naming"] = "lua/heddle/naming.lua",
        ["heddle.null"] = "lua/heddle/null.lua",
        ["heddle.op"] = "lua/heddle/op.lua",
        ["heddle.options"] = "lua/heddle/options.lua",
        ["heddle.placeholders"] = "lua/heddle/placeholders.lua",
        ["heddle.property"] = "lua/heddle/property.lua",
        ["heddle.quote"] = "lua/heddle/quote.lua",
        ["heddle.relation"] = "lua/heddle/relation.lua",
        ["heddle.resolve"] = "lua/heddle/resolve.lua",
        ["heddle.suggest"] = "lua/heddle/suggest.lua",
        ["heddle.types"] = "lua/heddle/types.lua",
    },
}
