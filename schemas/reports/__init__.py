"""What is printed about files: differences, graphs, upcoming runs."""
