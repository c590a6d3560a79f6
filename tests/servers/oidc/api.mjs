// The API: every record set in six ways of paging, behind bearer access tokens.
//
//   GET  /odata/SET             OData v4: `value`, `@odata.nextLink`; knows `$filter=revision ge N`
//   GET  /link/SET              an array; `Link: <…>; rel="next"`
//   GET  /page/SET?page&size    `data`, `meta.total`, `meta.pages`; pages count from 1
//   GET  /offset/SET?offset&limit   `items`, `total`
//   GET  /cursor/SET?after      `results`, `paging.next`, `paging.more`
//   POST /cursor/SET            the same with `{"after": …}` in the body
//   GET  /next/SET              `data`, `links.next`, a relative URL
//
// All but OData take `since`, the revision to start from.

import { createHash } from 'node:crypto';

import { readBody, sendJson } from '../shared/listen.mjs';
import { isActive } from './provider.mjs';

const PAGE = 500;
const LARGEST_PAGE = 1000;

class Refused extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    Object.assign(this, { status, headers });
  }
}

/** Makes the request handler of the API. */
export function makeApi(sets, issuer) {
  return async (request, response) => {
    try {
      await authorize(request, issuer);
      const url = new URL(request.url, `http://${request.headers.host}`);
      const [, style, name, ...rest] = url.pathname.split('/');
      const set = sets[name];
      const page = PAGES[`${request.method} ${style}`];
      if (!set || !page || rest.length > 0) throw new Refused(404, 'there is no such resource');
      const { body, headers } = await page(set, url, request);
      sendJson(response, 200, body, headers);
    } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
      sendJson(response, error.status ?? 500, { error: error.message }, error.headers);
    }
  };
}

async function authorize(request, issuer) {
  const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (!token) throw new Refused(401, 'no access token', { 'www-authenticate': 'Bearer' });
  if (!(await isActive(issuer, token))) {
    throw new Refused(401, 'the access token has expired or was revoked', {
      'www-authenticate': 'Bearer error="invalid_token"',
    });
  }
}

const PAGES = {
  'GET odata': odata,
  'GET link': link,
  'GET page': byNumber,
  'GET offset': byOffset,
  'GET cursor': (set, url) => byCursor(set, url, url.searchParams.get('after')),
  'POST cursor': async (set, url, request) => {
    const { after } = JSON.parse((await readBody(request)).toString());
    return byCursor(set, url, after ?? null);
  },
  'GET next': nextUrl,
};

function number(url, name, fallback) {
  const text = url.searchParams.get(name);
  if (text === null) return fallback;
  if (!/^\d{1,9}$/.test(text)) throw new Refused(400, `\`${name}\` is no number`);
  return Number(text);
}

function all(set, url) {
  return set.since(number(url, 'since', 0));
}

function size(url, name) {
  return Math.min(Math.max(number(url, name, PAGE), 1), LARGEST_PAGE);
}

// A next link carries apostrophes, a raw and an encoded plus and doubly encoded text, and a seal over all
// before it, so that a client which decodes, rebuilds or re-orders it is refused. URL parsers may
// turn a raw apostrophe into %27; that is forgiven, as by every server.
function odata(set, url, request) {
  const asked = request.url.replaceAll("'", '%27');
  const [before, seal] = asked.split('&seal=');
  if (url.searchParams.has('$skiptoken') && seal !== sealOf(before)) {
    throw new Refused(400, 'this next link is not as it was given');
  }
  const filter = url.searchParams.get('$filter');
  const since = /^revision ge (\d{1,9})$/.exec(filter ?? 'revision ge 0')?.[1];
  if (!since) throw new Refused(400, `the filter \`${filter}\` is not understood`);
  const after = Number(/after=(\d+)/.exec(url.searchParams.get('$skiptoken') ?? 'after=0')?.[1]);
  const left = set.since(Math.max(Number(since), after + 1));
  const value = left.slice(0, PAGE);
  const body = { '@odata.context': '$metadata#Records', value };
  if (left.length > PAGE) {
    const kept = filter ? `$filter=${encodeURIComponent(filter)}&` : '';
    const to = `${url.pathname}?${kept}$skiptoken='after=${value.at(-1).revision}'&hint=a+b%2Bc%2520d`;
    body['@odata.nextLink'] = `${url.origin}${to}&seal=${sealOf(to.replaceAll("'", '%27'))}`;
  }
  return { body };
}

function sealOf(text) {
  return createHash('sha256').update(`a secret of the API: ${text}`).digest('hex').slice(0, 16);
}

function link(set, url) {
  const records = all(set, url);
  const at = number(url, 'at', 0);
  const end = at + size(url, 'per_page');
  const to = (position, rel) => {
    const target = new URL(url);
    target.searchParams.set('at', position);
    return `<${target.href}>; rel="${rel}"`;
  };
  const links = [to(0, 'first')];
  if (end < records.length) links.push(to(end, 'next'));
  return { body: records.slice(at, end), headers: { link: links.join(', ') } };
}

function byNumber(set, url) {
  const records = all(set, url);
  const page = number(url, 'page', 1);
  const per = size(url, 'size');
  const data = records.slice((page - 1) * per, page * per);
  const meta = { page, pages: Math.ceil(records.length / per), total: records.length };
  return { body: { data, meta } };
}

function byOffset(set, url) {
  const records = all(set, url);
  const offset = number(url, 'offset', 0);
  const items = records.slice(offset, offset + size(url, 'limit'));
  return { body: { items, total: records.length } };
}

function byCursor(set, url, after) {
  const last = after === null ? 0 : Number(Buffer.from(after, 'base64').toString().split('|')[1]);
  if (Number.isNaN(last)) throw new Refused(400, 'this cursor is not one of ours');
  const left = set.since(Math.max(number(url, 'since', 0), last + 1));
  const results = left.slice(0, PAGE);
  const more = left.length > PAGE;
  // Ordinary base64, so that `+`, `/` and `=` must be encoded in a query.
  const next = more ? Buffer.from(`>>?|${results.at(-1).revision}`).toString('base64') : null;
  return { body: { results, paging: { next, more } } };
}

function nextUrl(set, url) {
  const records = all(set, url);
  const at = number(url, 'at', 0);
  const end = at + PAGE;
  const since = url.searchParams.has('since') ? `&since=${number(url, 'since', 0)}` : '';
  const next = end < records.length ? `${url.pathname}?at=${end}${since}` : null;
  return { body: { data: records.slice(at, end), links: { next } } };
}
