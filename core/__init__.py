"""Pure functions the rest stands on: no Flask, no SQLAlchemy, no settings."""
