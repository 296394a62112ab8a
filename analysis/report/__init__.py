"""The report of a grid or a search, one HTML page."""
