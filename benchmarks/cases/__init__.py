"""The comparisons; each module's `measure` gives its outcomes."""
