// The authorization server: oidc-provider, with its own pages and its own store in memory.

import Provider from 'oidc-provider';

const REDIRECTS = [
  'http://127.0.0.1/callback', // any port, as RFC 8252 section 7.3 has it
  'https://tidegate.example/oauth-callback', // for pasting: nobody listens there
];

function person(client_id, token_endpoint_auth_method) {
  return {
    client_id,
    token_endpoint_auth_method,
    ...(token_endpoint_auth_method === 'none' ? {} : { client_secret: secretOf(client_id) }),
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: REDIRECTS,
  };
}

/** The clients, by what they are for. */
const CLIENTS = [
  person('person-basic', 'client_secret_basic'),
  person('person-post', 'client_secret_post'),
  person('person-public', 'none'),
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

/** Makes the provider for `issuer`. `lives.accessToken` may change while it runs. */
export function makeProvider(issuer, lives) {
  const provider = new Provider(issuer, {
    clients: CLIENTS,
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access'],
    rotateRefreshToken: true,
    cookies: { keys: ['only for tests on loopback'] },
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      devInteractions: { enabled: true },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
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
