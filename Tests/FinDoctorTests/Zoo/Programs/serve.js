// A server of Node: serve.js serve|keep PORT.
//
// "serve" answers requests, and blocks the event loop at the first one for /block. "keep" lets its connections be half
// open, and never ends its own half.
const [, , mode, port] = process.argv;
const kept = [];
if (mode === 'serve') {
  require('http').createServer((request, response) => {
    if (request.url === '/block') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    response.end('ok');
  }).listen(Number(port));
} else {
  require('net').createServer({ allowHalfOpen: true }, (socket) => {
    kept.push(socket.resume());
  }).listen(Number(port));
}
