"""A server of asyncio's streams: streams.py serve|keep PORT.

"serve" answers requests and closes at the end of file; "keep" reads the end of file and forgets to close.
"""
import asyncio, sys

kept = []


async def answer(reader, writer):
    while await reader.readline():
        while (await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
    writer.close()


async def keep(reader, writer):
    kept.append(writer)
    await reader.read()


async def main():
    server = await asyncio.start_server(answer if sys.argv[1] == "serve" else keep, "127.0.0.1", int(sys.argv[2]))
    await server.serve_forever()


asyncio.run(main())
