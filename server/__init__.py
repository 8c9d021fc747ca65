"""How a process lives: patching, listening, jobs, schema, the mounted bank."""
