// What the servers share: a loopback port, bodies, and answers in JSON.

import http from 'node:http';

const HOST = '127.0.0.1';
const BODY_LIMIT = 4 << 20;

/** Listens on a free loopback port and answers with the server's base URL. */
export async function listen(handler) {
  const server = http.createServer((request, response) => {
    // Node dates answers by the machine's clock, which is not the test's.
    response.setHeader('date', new Date().toUTCString());
    return handler(request, response);
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, HOST, resolve);
  });
  return `http://${HOST}:${server.address().port}`;
}

/** Reads a request body whole. */
export async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > BODY_LIMIT) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Sends `value` as JSON. */
export function sendJson(response, status, value, headers = {}) {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}
