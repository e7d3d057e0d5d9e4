"""Training and predicting from tables: numbers, images whose place stands in a table, and texts."""
