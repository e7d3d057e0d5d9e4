"""YAML files as data that remembers its lines and columns."""
