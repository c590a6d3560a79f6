// What a test may do behind the program's back.
//
//   POST   /sign-in?url=…[&login=…][&decline=1][&user_code=…]
//                                sign in as a person; answers `{ redirect }`
//   GET    /records/SET          the source's own truth, whole
//   POST   /records/SET          `[{ key, field… }]`: change records, or add ones
//   DELETE /records/SET          `[key…]`: remove records
//   POST   /arrive/SET?count=N   let N real records arrive that were held back; answers with them
//   POST   /fault                `{ kind, … }`: see ../shared/line.mjs
//   POST   /heal                 forget the faults that did not happen yet
//   GET    /secrets              every token, code and proof that passed the line
//   POST   /replay               present the first refresh token once more, as a thief would
//   GET    /ledger[?count=N]     the token requests, once there are N of them
//   GET    /seen                 what the provider was asked for and did, besides tokens
//   POST   /lives                `{ accessToken?, refreshToken? }`: seconds, for tokens to come

import { readBody, sendJson } from '../shared/listen.mjs';
import { signIn } from './browser.mjs';

/** Makes the request handler of the admin interface. */
export function makeAdmin({ sets, line, lives, seen }) {
  const verbs = {
    'POST sign-in': async (query) => ({
      redirect: await signIn(query.get('url'), {
        login: query.get('login') ?? undefined,
        decline: query.has('decline'),
        userCode: query.get('user_code') ?? undefined,
      }),
    }),
    'GET records': (_query, set) => [...set.records.values()],
    'POST records': (_query, set, changes) => {
      changes.forEach((change) => set.put(change));
      return { revision: set.revision };
    },
    'DELETE records': (_query, set, keys) => ({ removed: set.remove(keys) }),
    'POST arrive': (query, set) => set.arrive(Number(query.get('count') ?? 1)),
    'POST fault': (_query, _set, fault) => {
      line.fail(fault);
      return {};
    },
    'POST heal': () => {
      line.heal();
      return {};
    },
    'GET secrets': () => [...line.secrets],
    'POST replay': () => line.replay(),
    'GET ledger': (query) => line.ledgerOf(Number(query.get('count') ?? 0)),
    'GET seen': () => seen,
    'POST lives': (_query, _set, change) => Object.assign(lives, change),
  };
  return async (request, response) => {
    try {
      const url = new URL(request.url, 'http://loopback');
      const [, verb, name] = url.pathname.split('/');
      const body = await readBody(request);
      const value = body.length > 0 ? JSON.parse(body.toString()) : undefined;
      const answer = await verbs[`${request.method} ${verb}`](url.searchParams, sets[name], value);
      sendJson(response, 200, answer);
    } catch (error) {
      console.error(error);
      sendJson(response, 500, { error: String(error) });
    }
  };
}
