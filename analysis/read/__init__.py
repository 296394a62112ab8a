"""A results folder → tidy frames."""
