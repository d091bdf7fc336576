-- What is bought: customers, orders and their lines, and lists of books that a customer puts in an order of his own.
local orm = require("heddle")

local Customer = orm.entity {
  name = "Customer", table = "customers",
  { "id", type = "integer", primary = true },
  { "email", type = "string", length = 100, unique = true },
  { "orders", one_to_many = "Order", mapped_by = "customer" },
  { "wishes", many_to_many = "Book", fixed_order = true },
}

local Order = orm.entity {
  name = "Order", table = "orders",
  { "id", type = "integer", primary = true },
  { "customer", many_to_one = "Customer" },
  { "status", type = "enum", enum = { "open", "paid", "sent" }, default = "open" },
  { "placed_at", type = "timestamp", on_create = orm.now },
  { "lines", one_to_many = "OrderLine", mapped_by = "order", cascade = { "all" }, orphan_removal = true,
    order_by = { "number" } },
}

-- The line is the relation between an order and a book, with a quantity and the price of that day.
local OrderLine = orm.entity {
  name = "OrderLine", table = "order_lines",
  { "order", many_to_one = "Order", primary = true },
  { "number", type = "integer", primary = true },
  { "book", many_to_one = "Book" },
  { "quantity", type = "integer", default = 1, check = "quantity > 0" },
  { "price", type = "decimal", precision = 8, scale = 2 },
}

---Puts a book on the order, at the price that it has now.
function Order:put(book, quantity)
  self.lines:add(OrderLine { number = #self.lines + 1, book = book, quantity = quantity, price = book.price })
  book.stock = book.stock - (quantity or 1)
end

return { Customer, Order, OrderLine }
