// The echo server of the net module's documentation.
'use strict';
const net = require('node:net');

function echo(socket) {
  socket.on('error', (error) => console.error(error.message));
  socket.pipe(socket);
}

function count(socket) {
  let total = 0n;
  socket.on('error', (error) => console.error(error.message));
  socket.on('data', (piece) => { total += BigInt(piece.length); });
  socket.on('end', () => {
    const answer = Buffer.alloc(8);
    answer.writeBigUInt64BE(total);
    socket.end(answer);
  });
}

if (process.argv.length !== 4) {
  console.error('usage: server.js echo|count BUFFER');
  process.exit(2);
}
const serve = process.argv[2] === 'count' ? count : echo;
// Without allowHalfOpen, node would finish by itself, before the count is sent.
const server = net.createServer({ allowHalfOpen: true, noDelay: true }, serve);
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
