"""KMA's forecast: districts, HTTP, raw answers, rows, CSV files, SQL table."""
