// SPDX-License-Identifier: Apache-2.0
// Serves a folder over HTTP/2: node server.js PORT CERTIFICATE KEY FOLDER
const fs = require('fs'), http2 = require('http2'), path = require('path');
const [port, cert, key, folder] = process.argv.slice(2);
const server = http2.createSecureServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  stream.resume(); // what is uploaded
  const name = path.normalize(headers[':path'].split('?')[0]);
  stream.respondWithFile(path.join(folder, name === '/' || name === '/push/' ? 'index.html' : name), { 'x-served-by': 'node' }, {
    onError: () => { stream.respond({ ':status': 404, 'content-type': 'text/plain' }); stream.end('missing\n'); },
  });
});
server.on('sessionError', () => {});
server.listen(Number(port), '127.0.0.1');
