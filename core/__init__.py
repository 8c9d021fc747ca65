"""Pure functions for all other folders: no Flask, no SQLAlchemy, no settings."""
