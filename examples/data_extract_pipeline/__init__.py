"""SQL files as tasks: model features of loan customers, from raw tables, with checks."""
