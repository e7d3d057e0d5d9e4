"""Seoul's weather straight into a table, by one custom operator."""
