"""The command line: parse, call `api`, print."""
