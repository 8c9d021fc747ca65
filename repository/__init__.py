"""The unit of work and the queries: one class per table."""
