"""A worker that misbehaves on request, for the tests of the sandbox."""

import os
import socket
import time

from paraph.adapters.engines.worker import Answer, confine, serve
from paraph.core.encode import JsonObject
from paraph.core.errors import Rejected


def main() -> None:
    channel: socket.socket = confine()

    def answer(header: JsonObject, blobs: tuple[bytes, ...]) -> Answer:
        match header.get("do"):
            case "hello":
                if header.get("refuse"):
                    raise Rejected("test.refused", "no", limit=1)
            case "sleep":
                time.sleep(float(header["seconds"]))  # type: ignore[arg-type]
            case "allocate":
                return {"size": len(bytearray(int(header["size"])))}, ()  # type: ignore[arg-type]
            case "exit":
                os._exit(3)
            case "crash":
                raise ZeroDivisionError("by zero")
            case "environment":
                return {"names": sorted(os.environ)}, ()
            case "print":
                print("this must not land among the messages", flush=True)
            case "connect":
                with socket.socket() as other:
                    other.settimeout(5)
                    return {"errno": other.connect_ex(("127.0.0.1", int(header["port"])))}, ()  # type: ignore[arg-type]
            case "refuse":
                raise Rejected("test.refused", "no", limit=1)
            case "garble":
                channel.sendall(b"\xff" * 64)
            case "twice":
                channel.sendall(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
            case "write":
                with open("/dev/shm/paraph-test-write", "wb") as file:  # noqa: PTH123
                    os.unlink("/dev/shm/paraph-test-write")  # noqa: PTH108
                    try:
                        file.write(bytes(16 << 20))
                        file.flush()
                    except OSError as error:
                        return {"errno": error.errno or 0}, ()
            case _:
                pass
        return {"echo": header.get("do")}, blobs

    serve(channel, answer)


if __name__ == "__main__":
    main()
