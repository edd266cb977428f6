"""The process that opens pictures: one request after the other, in frames, until its input ends."""

from __future__ import annotations

import os
import resource
import sys
from typing import Final

from graphcore.errors import DocumentError
from graphcore.worker.frames import encode_frame, read_frame
from server.pictures.codec import TooLarge, Unreadable, answer

_MEMORY_BYTES: Final = 2 * 2**30


def main() -> int:
    """Serve until the input ends, with a bound on memory."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (frame := read_frame(sys.stdin.buffer)) is not None:
        try:
            made = answer(frame.message, frame.payload)
        except TooLarge as error:
            out.write(encode_frame({"op": "refused", "code": "picture-too-large", "message": str(error)}))
        except Unreadable as error:
            out.write(encode_frame({"op": "refused", "code": "not-a-picture", "message": str(error)}))
        except DocumentError as error:
            out.write(encode_frame({"op": "refused", "code": error.code, "message": error.message}))
        except MemoryError:
            message = "The picture needs more memory than may be used for it."
            out.write(encode_frame({"op": "refused", "code": "picture-too-large", "message": message}))
        else:
            about = {
                "media_type": made.media_type,
                "width": made.width,
                "height": made.height,
                "frames": made.frames,
            }
            out.write(encode_frame({"op": "made", **about}, made.data))
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
