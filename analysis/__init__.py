"""Reads runs and writes tables and figures; knows nothing of how a run is made."""
