import ast


class Literal:
    name = "literal"

    def dumps(self, value):
        return repr(value).encode()

    def loads(self, data):
        return ast.literal_eval(data.decode())
