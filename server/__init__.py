"""The process: monkey patching, serving, jobs, schema, the mounted bank."""
