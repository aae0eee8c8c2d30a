"""Compression by LZMA, under a private wire id."""

import lzma

from miniagent_store.errors import DecodeError


class LzmaLayer:
    name = "lzma"
    wire_id = 0xA0
    kind = "compress"
    params_size = 0
    authenticated = False

    def encode(self, data, context, header):
        return b"", lzma.compress(data)

    def decode(self, params, body, context, header, limits):
        decompressor = lzma.LZMADecompressor(memlimit=limits.decoded)
        data = decompressor.decompress(body, limits.decoded + 1)
        if not decompressor.eof or decompressor.unused_data or len(data) > limits.decoded:
            raise DecodeError("corrupt", codec=self.name, detail="cut off, too long, or more follows")
        return data
