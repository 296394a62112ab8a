"""The English of what was found: sentences about the findings, which are numbers."""
