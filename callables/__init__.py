"""The functions that YAML names by dotted path; a module with a leading underscore is not for YAML."""
