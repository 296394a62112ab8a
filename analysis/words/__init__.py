"""The English sentences about the findings, which themselves are numbers."""
