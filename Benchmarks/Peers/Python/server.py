"""The echo server from asyncio's documentation of streams, on asyncio's own event loop or on uvloop."""
import asyncio
import sys


async def echo(reader, writer, size):
    while data := await reader.read(size):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def count(reader, writer, size):
    total = 0
    while data := await reader.read(size):
        total += len(data)
    writer.write(total.to_bytes(8, "big"))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def main(work, size):
    async def handle(reader, writer):
        await work(reader, writer, size)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("asyncio", "uvloop"):
        sys.exit("usage: server.py asyncio|uvloop echo|count BUFFER")
    if sys.argv[1] == "uvloop":
        import uvloop

        uvloop.install()
    asyncio.run(main(count if sys.argv[2] == "count" else echo, int(sys.argv[3])))
