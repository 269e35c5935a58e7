// SPDX-License-Identifier: Apache-2.0
// An HTTP/2 server: node serve.js PORT CERT KEY
const fs = require('fs');
const http2 = require('http2');
const [port, cert, key] = process.argv.slice(2);
const server = http2.createSecureServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
server.on('stream', (stream, headers) => {
  const size = parseInt(headers[':path'].slice(1), 10) || 0;
  stream.on('error', () => {});
  stream.respond({ ':status': 200, 'content-type': 'text/plain', 'x-size': String(size) });
  stream.end('x'.repeat(size));
  stream.resume();
});
server.listen(port, '127.0.0.1');
