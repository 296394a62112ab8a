"""Classes and files from outside: from installed packages, from a user's script, from a folder `configs/`."""
