"""A results folder, or what a tracking store holds of one → tidy frames."""
