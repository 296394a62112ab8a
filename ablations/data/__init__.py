"""Axis: data sets, a file each."""
