// Starts the authorization server, the line to its token endpoint, the API and the admin interface,
// prints one line of JSON that says where they are, and ends when its input does, so that nothing
// is left behind by a test that was killed.
//
// Admin interface:
//   POST /sign-in?url=…   as a person whose browser opens that URL; answers `{ redirect }`
//   POST /forget-access   every access token issued so far is refused from now on
//   GET  /refresh-tokens  how many refresh tokens live
//   POST /fault           `{ kind, … }`: see ../shared/line.mjs
//   GET  /ledger          the token requests

import '../shared/clock.mjs';

import OAuth2Server from '@node-oauth/oauth2-server';

import { Line } from '../shared/line.mjs';
import { listen, readBody, sendJson } from '../shared/listen.mjs';
import { PEOPLE, makeModel, secretOf } from './model.mjs';

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));

const LIFE = Number(process.env.ACCESS_TOKEN_LIFE ?? 600);
const NOTES = [
  { id: 1, text: 'first' },
  { id: 2, text: 'zweite — ünïcödé' },
  { id: 3, text: null },
];

const { Request, Response } = OAuth2Server;
const model = makeModel();
const oauth = new OAuth2Server({ model, accessTokenLifetime: LIFE });
// Whoever opens the page is signed in already: pages are not what this server is for.
const authenticateHandler = { handle: () => PEOPLE[0] };

/** Lets the library answer a request by `work`, and makes its errors answers too. */
async function answer(request, response, work) {
  const url = new URL(request.url, 'http://loopback');
  const query = Object.fromEntries(url.searchParams);
  const body = Object.fromEntries(new URLSearchParams((await readBody(request)).toString()));
  const told = new Response();
  try {
    await work(new Request({ headers: request.headers, method: request.method, query, body }), told);
  } catch (error) {
    if (!error.code) throw error;
    // An error that goes back to the client by redirect is in the response already.
    if (told.status !== 302) Object.assign(told, { status: error.code });
    if (Object.keys(told.body).length === 0) {
      told.body = { error: error.name, error_description: error.message };
    }
  }
  sendJson(response, told.status, told.body, told.headers);
}

const issuer = await listen((request, response) => {
  const work = request.url.startsWith('/token')
    ? (asked, told) => oauth.token(asked, told)
    : (asked, told) => oauth.authorize(asked, told, { authenticateHandler });
  return answer(request, response, work);
});

const api = await listen((request, response) =>
  answer(request, response, async (asked, told) => {
    await oauth.authenticate(asked, told);
    told.body = NOTES;
  }),
);

const line = new Line(issuer);
const lineUrl = await listen(line.handler());

const verbs = {
  'POST /sign-in': async (query) => {
    const page = await fetch(query.get('url'), { redirect: 'manual' });
    return { redirect: page.headers.get('location') };
  },
  'POST /forget-access': () => {
    const forgotten = model.tokens.access.size;
    model.tokens.access.clear();
    return { forgotten };
  },
  'GET /refresh-tokens': () => ({ alive: model.tokens.refresh.size }),
  'POST /fault': (_query, fault) => line.fail(fault) ?? {},
  'GET /ledger': () => line.ledger,
};
const admin = await listen(async (request, response) => {
  const url = new URL(request.url, 'http://loopback');
  const body = (await readBody(request)).toString();
  const verb = verbs[`${request.method} ${url.pathname}`];
  sendJson(response, 200, await verb(url.searchParams, body ? JSON.parse(body) : undefined));
});

console.log(
  JSON.stringify({
    issuer,
    authorize_url: `${issuer}/authorize`,
    token_url: `${lineUrl}/token`,
    api,
    admin,
    people: PEOPLE,
    secrets: Object.fromEntries(['person', 'machine', 'legacy'].map((id) => [id, secretOf(id)])),
  }),
);
