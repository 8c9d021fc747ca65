"""The administrators' pages: the health of the service, its accounts, its audit log."""
