// The service under test, and SDK clients for whoever a test wants to be.
import { readFileSync } from 'node:fs';
import { sdk } from './packages.mjs';

const file = process.env.TASKLANE_TEST_CREDENTIALS;
if (!file) {
  throw new Error('TASKLANE_TEST_CREDENTIALS names no file: run this suite through `cargo test --test it sdk`.');
}
const text = readFileSync(file, 'utf8');
// The SDK's own reader of ~/.exh/credentials takes the file as it stands.
const stored = sdk.parseStoredCredentials(text);

export const host = stored.API_HOST;

/** The administrator that `tasklane dev` made, as the SDK's parameters name the parts of a credential. */
export const administrator = {
  consumerKey: stored.API_OAUTH_CONSUMER_KEY,
  consumerSecret: stored.API_OAUTH_CONSUMER_SECRET,
  token: stored.API_OAUTH_TOKEN,
  tokenSecret: stored.API_OAUTH_TOKEN_SECRET,
  accessToken: /^API_ACCESS_TOKEN=(.+)$/m.exec(text)[1],
};

/** Logged in with OAuth 1.0a: every request is signed. */
export function oauth1({ consumerKey, consumerSecret, token, tokenSecret }, more = {}) {
  return sdk.createOAuth1Client({ host, consumerKey, consumerSecret, token, tokenSecret, ...more });
}

/**
 * Logged in with a bearer token. The SDK's OAuth2 client is made to be given a token that it did not fetch itself (an
 * application that stored its tokens does that); it sends the token as it is and asks for another one only when the
 * service calls it unknown or expired. `refreshToken` is then what it asks with.
 */
export function bearer({ accessToken }, more = {}) {
  return sdk.createOAuth2Client({ host, clientId: 'tests', accessToken, refreshToken: 'none', ...more });
}

/** Nobody: the SDK's proxy client leaves the login to cookies, and here are none. */
export function nobody() {
  return sdk.createProxyClient({ host });
}

/** An application that signs its requests while nobody is logged in. */
export function applicationOnly({ consumerKey, consumerSecret }) {
  return sdk.createOAuth1Client({ host, consumerKey, consumerSecret });
}

/** Both ways to log in, for tests that must hold for either. */
export const logins = { oauth1, bearer };

/** The administrator, signed. */
export const exh = oauth1(administrator);

/** What the SDK cannot ask for: a request as it is, by nobody unless `headers` say otherwise. */
export function request(path, { method = 'GET', headers = {}, body, as } = {}) {
  const authorization = as ? { authorization: `Bearer ${as.accessToken}` } : {};
  return fetch(`${host}${path}`, { method, headers: { ...authorization, ...headers }, body, redirect: 'manual' });
}

/** A new credential, and what to revoke it by. */
export async function createCredential({ permissions = [], userId = 'user', applicationId, expiresTimestamp } = {}) {
  const response = await request('/tasklane/v1/credentials', {
    method: 'POST',
    as: administrator,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ userId, applicationId, permissions, expiresTimestamp }),
  });
  const credential = await response.json();
  if (!response.ok) {
    throw new Error(`no credential was created: ${response.status} ${JSON.stringify(credential)}`);
  }
  return credential;
}

export async function revokeCredential({ id }) {
  const response = await request(`/tasklane/v1/credentials/${id}`, { method: 'DELETE', as: administrator });
  if (!response.ok) {
    throw new Error(`the credential was not revoked: ${response.status} ${await response.text()}`);
  }
}
