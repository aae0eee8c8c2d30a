"""Sessions from one place to another: archives (`exporting`, `importing`), and live (`migrating`).

Everything here is about whole sessions as a backend keeps them (`whole`): read in one consistent state,
told in lines (`lines`), and written so that they appear whole or not at all (`writing`).
"""
