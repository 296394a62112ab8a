"""The format of a results folder, and how both packages speak to a user: all that `ablations` and `analysis` share.

    names, folders        files, columns and folders
    grid_json, allowed    what a grid's grid.json says
    csv_files, guarded    CSV files as text and as numbers
    links                 where runs are in a tracking store
    files                 files that appear whole or not at all
    errors, plain         the one error of a wrong call, and text that is safe to show
    notation              numbers and symbols as papers write them
    options, shell        key=value, the grammar of small commands; how every command ends

Beside this room `ablations` has `analysis.pages` draw a grid's pages, reads results as they are shown (`read`), and
asks which seeds and generated sets a comparison still needs (`statistics.looks`, `findings`).
"""
