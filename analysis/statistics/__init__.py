"""Pure functions on arrays and plain frames; they know nothing of grids."""
