// The authorization server: oidc-provider, with its own pages and its own store in memory.

import { createPublicKey, generateKeyPairSync } from 'node:crypto';

import Provider, { errors } from 'oidc-provider';

const REDIRECTS = [
  'http://127.0.0.1/callback', // any port, as RFC 8252 section 7.3 has it
  'https://tidegate.example/oauth-callback', // for pasting: nobody listens there
];

/** What an access token may be asked for, as RFC 8707 has it. */
export const RESOURCE = 'https://records.tidegate.example/';

/** The private keys of the clients that sign, in PEM. */
export const KEYS = Object.fromEntries(
  ['person-rs256', 'person-es256', 'person-eddsa'].map((client) => [client, makeKey(client)]),
);

function makeKey(client) {
  if (client.endsWith('rs256')) return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  if (client.endsWith('es256')) return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return generateKeyPairSync('ed25519').privateKey;
}

function person(client_id, token_endpoint_auth_method, more = {}) {
  const hasSecret = token_endpoint_auth_method.startsWith('client_secret');
  return {
    client_id,
    token_endpoint_auth_method,
    ...(hasSecret ? { client_secret: secretOf(client_id) } : {}),
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: REDIRECTS,
    ...more,
  };
}

function signer(client_id) {
  const jwk = createPublicKey(KEYS[client_id]).export({ format: 'jwk' });
  return person(client_id, 'private_key_jwt', { jwks: { keys: [{ ...jwk, use: 'sig' }] } });
}

/** The clients, by what they are for. */
const CLIENTS = [
  person('person-basic', 'client_secret_basic'),
  person('person-post', 'client_secret_post'),
  person('person-public', 'none'),
  person('person-par', 'client_secret_basic', { require_pushed_authorization_requests: true }),
  ...Object.keys(KEYS).map(signer),
  {
    client_id: 'person-device',
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    response_types: [],
    redirect_uris: [],
  },
  {
    client_id: 'machine',
    client_secret: secretOf('machine'),
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  },
  {
    client_id: 'api',
    client_secret: secretOf('api'),
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: [],
    response_types: [],
    redirect_uris: [],
  },
];

/** Returns the secret of a client: one that only arrives whole if Basic and form encode it rightly. */
export function secretOf(clientId) {
  return `${clientId}: 100% +/& =secret`;
}

/**
 * Makes the provider for `issuer`. `lives.accessToken` may change while it runs, and `seen` collects
 * what it was asked for and did.
 */
export function makeProvider(issuer, lives, seen) {
  const provider = new Provider(issuer, {
    clients: CLIENTS,
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access'],
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    rotateRefreshToken: true,
    cookies: { keys: ['only for tests on loopback'] },
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      deviceFlow: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => {
          if (resource !== RESOURCE) throw new errors.InvalidTarget();
          return { scope: 'read', audience: resource, accessTokenFormat: 'opaque' };
        },
        useGrantedResource: () => true,
      },
      devInteractions: { enabled: true },
    },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `${id} of Delft`, email: `${id}@example.org`, email_verified: true }),
    }),
    ttl: {
      AccessToken: () => lives.accessToken,
      ClientCredentials: () => lives.accessToken,
      RefreshToken: () => lives.refreshToken,
      AuthorizationCode: 60,
      Interaction: 3600,
      Session: 3600,
      Grant: 14 * 24 * 3600,
      IdToken: 3600,
    },
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  provider.on('grant.revoked', (ctx) => seen.push({ revoked: ctx.oidc.route }));
  provider.on('pushed_authorization_request.success', () => seen.push({ pushed: true }));
  provider.on('access_token.saved', (token) => seen.push({ audience: token.aud ?? null }));
  return provider;
}

/** Asks the provider about an access token, as RFC 7662 has it. */
export async function isActive(issuer, token) {
  const [id, secret] = ['api', secretOf('api')].map(encodeURIComponent);
  const answer = await fetch(`${issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${id}:${secret}`)}` },
    body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
  });
  if (!answer.ok) throw new Error(`introspection answered ${answer.status}`);
  const told = await answer.json();
  return told.active === true && told.token_type === 'Bearer';
}
