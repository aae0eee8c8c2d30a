import json
import zlib

from miniagent_store import NamedSerializer


def loads(data):
    unzip = zlib.decompressobj()
    text = unzip.decompress(data, 64 * 1024 * 1024)
    if not unzip.eof:
        raise ValueError("truncated, or over 64 MiB")
    return json.loads(text)


SERIALIZER = NamedSerializer("zjson", lambda value: zlib.compress(json.dumps(value).encode()), loads)
