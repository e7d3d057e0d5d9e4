"""From YAML text to checked DAGs: documents → schema → checks → diagnostics, and the loader on top."""
