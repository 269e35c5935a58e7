// SPDX-License-Identifier: Apache-2.0
// Makes requests over one connection: node requests.js https://127.0.0.1:8443 1000
const http2 = require('http2');
const [url, count] = process.argv.slice(2);
const session = http2.connect(url, { rejectUnauthorized: false });
session.on('error', (err) => { console.error(err); process.exit(1); });
let next = 0, open = 0;
function more() {
  while (next < count && open < 5) {
    const i = next++;
    open++;
    const request = session.request({
      ':path': `/file${i % 20}?page=${i % 150}`, 'user-agent': 'node', 'accept-language': 'en,no;q=0.8',
      'x-request': String(i), cookie: `session=${i % 9}`,
    });
    request.on('error', (err) => { console.error(err); process.exit(1); });
    request.on('end', () => { open--; more(); });
    request.resume();
    request.end();
  }
  if (open === 0) session.close();
}
more();
