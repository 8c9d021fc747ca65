"""The administrators' pages: how the service is, whose accounts there are, who did what."""
