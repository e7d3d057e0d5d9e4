"""The rules that a document is checked against."""
