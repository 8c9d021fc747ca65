"""The command `balcao`; each command is a module that is imported when it is typed."""
