"""Evidence for what the pages claim: each program rebuilds the page that its docstring names. No user runs it."""
