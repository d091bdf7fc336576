-- busted under whichever interpreter runs this file (Debian's own script picks one).

-- busted gives every spec file fresh modules but for those that are there before it starts: the helpers keep
-- their connections and databases over all files.
require "spec.support.raw"
require "spec.support.sqlite"
require "spec.support.postgres"
require "spec.support.databases"
require "spec.support.relay"

require "busted.runner" { standalone = false }
