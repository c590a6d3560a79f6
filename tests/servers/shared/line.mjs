// The line to the token endpoint: passes requests on, keeps a ledger of them, and fails when told.
//
// A fault is `{ kind, status?, ms?, times? }`:
//   lose    the request never reaches the server, and the connection breaks
//   drop    the server answers, and the connection breaks before the first byte of it
//   cut     the server answers, and the connection breaks in the middle of the body
//   delay   the server answers, and the answer arrives `ms` later
//   status  the server never sees the request; the answer is `status` (503) and plain text
//   html    the server never sees the request; the answer is 200 and a page of HTML
// Each holds for the next `times` (1) requests.

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { readBody } from './listen.mjs';

const SECRETS = [
  'access_token', 'refresh_token', 'id_token', 'code', 'code_verifier', 'device_code', 'client_secret', 'client_assertion',
];
const HTML = '<!doctype html><title>Maintenance</title><h1>Back in a moment</h1>';

export class Line {
  #issuer;
  #faults = [];
  #waiting = [];
  #presented = [];
  /** Every word that came or went and must stay between the two. */
  secrets = new Set();
  /** Every token request that came, in order. */
  ledger = [];

  constructor(issuer) {
    this.#issuer = issuer;
  }

  /** Lets the next requests fail. */
  fail(fault) {
    for (let time = 0; time < (fault.times ?? 1); time += 1) this.#faults.push(fault);
  }

  /** Forgets the faults that did not happen yet. */
  heal() {
    this.#faults = [];
  }

  /** Answers with the ledger once it holds `count` finished requests. */
  async ledgerOf(count) {
    while (this.ledger.filter((entry) => entry.outcome).length < count) {
      await new Promise((resolve) => this.#waiting.push(resolve));
    }
    return this.ledger;
  }

  /** Presents the first refresh token that ever came once more, as a thief would. */
  async replay() {
    const [{ url, init }] = this.#presented;
    const answer = await fetch(url, init);
    return { status: answer.status, ...(await answer.json()) };
  }

  handler() {
    return async (request, response) => {
      const body = await readBody(request);
      const entry = this.#note(request, body);
      try {
        await this.#pass(request, body, response, entry);
      } catch (error) {
        console.error(error);
        entry.outcome = 'broken';
        response.destroy();
      }
      this.#waiting.splice(0).forEach((wake) => wake());
    };
  }

  #keepSecrets(fields) {
    for (const name of SECRETS) if (fields[name]) this.secrets.add(fields[name]);
  }

  #note(request, body) {
    const fields = readFields(request, body);
    const entry = {
      number: this.ledger.length + 1,
      at: new Date(Date.now()).toISOString(),
      grant_type: fields.grant_type ?? null,
      presented: fingerprint(fields.refresh_token),
      parallel: this.ledger.filter((other) => !other.outcome).length,
      fault: null,
      status: null, // what the server answered; null if it never saw the request
      error: null,
      issued: null, // the fingerprint of the refresh token in the answer
      outcome: null, // delivered, undelivered, unseen
    };
    this.ledger.push(entry);
    return entry;
  }

  async #pass(request, body, response, entry) {
    const fault = this.#faults.shift() ?? {};
    entry.fault = fault.kind ?? null;
    if (fault.kind === 'lose' || fault.kind === 'status' || fault.kind === 'html') {
      entry.outcome = 'unseen';
      if (fault.kind === 'lose') response.destroy();
      else if (fault.kind === 'html') response.writeHead(200, { 'content-type': 'text/html' }).end(HTML);
      else response.writeHead(fault.status ?? 503, { 'content-type': 'text/plain' }).end('not now');
      return;
    }
    const url = this.#issuer + request.url;
    const init = {
      method: request.method,
      headers: pick(request.headers, ['content-type', 'authorization', 'accept']),
      body: body.length > 0 ? body : undefined,
      redirect: 'manual',
    };
    if (entry.presented) this.#presented.push({ url, init });
    const answer = await fetch(url, init);
    const text = await answer.text();
    const told = parse(text);
    this.#keepSecrets(readFields(request, body));
    this.#keepSecrets(told);
    Object.assign(entry, {
      status: answer.status,
      error: told.error ?? null,
      issued: fingerprint(told.refresh_token),
    });
    if (fault.kind === 'drop') {
      entry.outcome = 'undelivered';
      response.destroy();
      return;
    }
    if (fault.kind === 'delay') await sleep(fault.ms ?? 1000);
    response.writeHead(answer.status, {
      ...pick(Object.fromEntries(answer.headers), ['content-type', 'cache-control', 'www-authenticate']),
      'content-length': Buffer.byteLength(text),
    });
    if (fault.kind === 'cut') {
      entry.outcome = 'undelivered';
      response.write(text.slice(0, text.length / 2), () => response.destroy());
      return;
    }
    entry.outcome = response.destroyed ? 'undelivered' : 'delivered';
    response.end(text);
  }
}

function readFields(request, body) {
  if ((request.headers['content-type'] ?? '').includes('json')) return parse(body.toString());
  return Object.fromEntries(new URLSearchParams(body.toString()));
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function fingerprint(token) {
  return token ? createHash('sha256').update(token).digest('hex').slice(0, 16) : null;
}

function pick(headers, names) {
  return Object.fromEntries(names.filter((name) => headers[name]).map((name) => [name, headers[name]]));
}
