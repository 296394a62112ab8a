"""Classes and files from outside: of installed packages, of a user's script, of a folder `configs/`."""
