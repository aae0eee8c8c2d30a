"""Sessions in a folder of files: ``folder:///path/to/folder?serializer=zjson``."""
