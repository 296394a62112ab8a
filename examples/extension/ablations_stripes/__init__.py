"""An example of choices from outside: see README.md."""
