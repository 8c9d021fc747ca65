"""`flask backup` and `flask restore`, by the tools of each engine (decision 0087)."""
