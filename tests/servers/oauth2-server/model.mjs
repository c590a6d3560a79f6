// What @node-oauth/oauth2-server leaves to its user: the clients, the people, and a store in memory.

/** Returns the secret of a client. This server takes the secret of a Basic header as it stands there. */
export function secretOf(client) {
  return `${client}-secret-0f6b1d`;
}

const REDIRECT = 'https://tidegate.example/oauth-callback'; // for pasting: nobody listens there

/** The clients, by what they may do. */
const CLIENTS = {
  person: ['authorization_code', 'refresh_token'],
  machine: ['client_credentials'],
  legacy: ['password', 'refresh_token'],
};

/** Who may sign in with a password. */
export const PEOPLE = [{ username: 'zoë@example.org', password: 'Grüße & 100% +pass=wörd 東京' }];

/** Makes the store, with everything it knows in view of the admin interface. */
export function makeModel() {
  const codes = new Map();
  const tokens = { access: new Map(), refresh: new Map() };
  return {
    codes,
    tokens,

    getClient(id, secret) {
      const grants = CLIENTS[id];
      // Without a secret it is only asked who the client is, not whether this is it.
      if (!grants || (secret && secret !== secretOf(id))) return null;
      return { id, grants, redirectUris: [REDIRECT] };
    },

    getUser(username, password) {
      return PEOPLE.find((one) => one.username === username && one.password === password) ?? null;
    },

    getUserFromClient: (client) => ({ username: client.id }),

    saveAuthorizationCode(code, client, user) {
      const saved = { ...code, client, user };
      codes.set(code.authorizationCode, saved);
      return saved;
    },
    getAuthorizationCode: (code) => codes.get(code),
    revokeAuthorizationCode: (code) => codes.delete(code.authorizationCode),

    saveToken(token, client, user) {
      const saved = { ...token, client, user };
      if (!client.grants.includes('refresh_token')) delete saved.refreshToken;
      tokens.access.set(saved.accessToken, saved);
      if (saved.refreshToken) tokens.refresh.set(saved.refreshToken, saved);
      return saved;
    },
    getAccessToken: (token) => tokens.access.get(token),
    getRefreshToken: (token) => tokens.refresh.get(token),
    revokeToken: (token) => tokens.refresh.delete(token.refreshToken),
  };
}
