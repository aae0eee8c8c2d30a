"""Reads values that some program of before stored as one line of comma-separated texts."""


class OldCsv:
    name = "csv"

    def recognises(self, data):
        return data.startswith(b"#csv,")

    def read(self, data, context, limits):
        return data.decode().split(",")[1:]
