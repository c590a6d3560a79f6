// Starts the authorization server, the line to its token endpoint, the API and the admin
// interface, prints one line of JSON that says where they are, and ends when its input does, so
// that nothing is left behind by a test that was killed.

import '../shared/clock.mjs';

import { makeAdmin } from './admin.mjs';
import { makeApi } from './api.mjs';
import { load } from './data.mjs';
import { Line } from '../shared/line.mjs';
import { listen } from '../shared/listen.mjs';
import { KEYS, RESOURCE, makeProvider, secretOf } from './provider.mjs';

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));

const DAY = 24 * 3600;
const lives = {
  accessToken: Number(process.env.ACCESS_TOKEN_LIFE ?? 600),
  refreshToken: Number(process.env.REFRESH_TOKEN_LIFE ?? 14 * DAY),
};
const sets = load();

let provide; // The provider needs to know its port before it can be made.
const seen = [];
const issuer = await listen((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://loopback');
  if (pathname === '/auth') seen.push({ authorized: [...searchParams.keys()] });
  return provide(request, response);
});
provide = makeProvider(issuer, lives, seen).callback();

const line = new Line(issuer);
const lineUrl = await listen(line.handler());
const api = await listen(makeApi(sets, issuer));
const admin = await listen(makeAdmin({ sets, line, lives, seen }));

console.log(
  JSON.stringify({
    issuer,
    authorize_url: `${issuer}/auth`,
    token_url: `${lineUrl}/token`,
    api,
    admin,
    device_authorization_url: `${issuer}/device/auth`,
    pushed_authorization_request_url: `${issuer}/request`,
    revocation_url: `${issuer}/token/revocation`,
    userinfo_url: `${issuer}/me`,
    resource: RESOURCE,
    keys: Object.fromEntries(
      Object.entries(KEYS).map(([id, key]) => [id, key.export({ type: 'pkcs8', format: 'pem' })]),
    ),
    secrets: Object.fromEntries(
      ['person-basic', 'person-post', 'person-par', 'machine'].map((id) => [id, secretOf(id)]),
    ),
  }),
);
