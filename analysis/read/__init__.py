"""A results folder or a tracking store → the same tidy frames."""
