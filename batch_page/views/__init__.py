"""The views: each a module with its queries, its routes and its tiles, and a template of the same name."""
