"""The names of the layouts of tables (`tables.layouts`), as a grid's file gives them; to know them needs no table."""

from __future__ import annotations

LAYOUT_NAMES = (
    "general",
    "ddpm_table_1",
    "ddpm_table_2",
    "improved_ddpm_1",
    "improved_ddpm_2",
    "vdm",
    "ldm",
    "analytic_dpm",
)
