// The service under test, and SDK clients for every kind of caller.
import { readFileSync } from 'node:fs';
import { sdk } from './packages.mjs';

const file = process.env.TASKLANE_TEST_CREDENTIALS;
if (!file) {
  throw new Error('TASKLANE_TEST_CREDENTIALS names no file: run this suite through `cargo test --test it sdk`.');
}
const text = readFileSync(file, 'utf8');
// The SDK's own reader of ~/.exh/credentials accepts the file as it is.
const stored = sdk.parseStoredCredentials(text);

export const host = stored.API_HOST;

/** The credential of the administrator that `tasklane dev` created, with the names of the SDK's parameters. */
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
 * Logged in with a bearer token. The SDK's OAuth2 client accepts a token that it did not fetch itself (as in an
 * application that stores its tokens). It sends the token unchanged and requests another one only if the service
 * reports it as unknown or expired. It then uses `refreshToken`.
 */
export function bearer({ accessToken }, more = {}) {
  return sdk.createOAuth2Client({ host, clientId: 'tests', accessToken, refreshToken: 'none', ...more });
}

/** Nobody: the SDK's proxy client relies on cookies, and there are none. */
export function nobody() {
  return sdk.createProxyClient({ host });
}

/** An application that signs its requests without a logged-in user. */
export function applicationOnly({ consumerKey, consumerSecret }) {
  return sdk.createOAuth1Client({ host, consumerKey, consumerSecret });
}

/** Both ways to log in, for tests that must pass with either. */
export const logins = { oauth1, bearer };

/** The administrator, signed. */
export const exh = oauth1(administrator);

/** A request that the SDK cannot send, anonymous unless `headers` has a credential. */
export function request(path, { method = 'GET', headers = {}, body, as } = {}) {
  const authorization = as ? { authorization: `Bearer ${as.accessToken}` } : {};
  return fetch(`${host}${path}`, { method, headers: { ...authorization, ...headers }, body, redirect: 'manual' });
}

/** A new credential, and the id to revoke it with. */
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
