"""The comparisons; each module's `measure` returns its outcomes."""
