"""The format of a results folder, and how both packages speak to a user: all that `ablations` and `analysis` share.

    names, folders        files, columns and folders
    grid_json, allowed    the content of a grid's grid.json
    csv_files, guarded    CSV files as text and as numbers
    links                 the places of runs in a tracking store
    files                 files that appear whole or not at all
    errors, plain         the one error of a wrong call, and text that is safe to show
    notation              numbers and symbols as papers write them
    options, shell        key=value, the grammar of small commands; the end of every command

Beside this room, `ablations` uses `analysis.pages` to draw a grid's pages, `analysis.read` to read results, and
`analysis.interim` to learn which seeds and generated sets a comparison still needs.
"""
