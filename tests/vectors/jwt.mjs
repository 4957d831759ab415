// Makes keys, and tokens signed by node's own crypto, for the tests of src/auth/oidc and tests/it/identity.rs. The keys open nothing.
// node jwt.mjs > jwt.json
import { constants, generateKeyPairSync, sign } from 'node:crypto';

const kinds = [
  ['rsa-1', 'rsa', { modulusLength: 2048 }, ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']],
  ['rsa-2', 'rsa', { modulusLength: 2048 }, ['RS256']],
  ['rsa-small', 'rsa', { modulusLength: 1024 }, ['RS256']],
  ['p256', 'ec', { namedCurve: 'P-256' }, ['ES256']],
  ['p384', 'ec', { namedCurve: 'P-384' }, ['ES384']],
  ['ed25519', 'ed25519', {}, ['EdDSA']],
];
const claims = { iss: 'https://issuer.example', aud: 'tasklane', sub: 'ada', iat: 1769860800, exp: 1769864400, permissions: ['VIEW_TASKS'] };
const base64url = value => Buffer.from(JSON.stringify(value)).toString('base64url');

function signature(alg, key, message) {
  const hash = alg === 'EdDSA' ? null : `sha${alg.slice(2)}`;
  const padding = alg.startsWith('PS') ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {};
  return sign(hash, message, { key, dsaEncoding: 'ieee-p1363', ...padding }).toString('base64url');
}

const keys = [];
const tokens = [];
for (const [kid, type, options, algs] of kinds) {
  const { publicKey, privateKey } = generateKeyPairSync(type, options);
  keys.push({ jwk: { kid, use: 'sig', ...publicKey.export({ format: 'jwk' }) }, pkcs8: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64') });
  for (const alg of algs) {
    const message = `${base64url({ alg, kid, typ: 'JWT' })}.${base64url(claims)}`;
    tokens.push({ alg, kid, token: `${message}.${signature(alg, privateKey, Buffer.from(message))}` });
  }
}
console.log(JSON.stringify({ keys, tokens }, null, 1));
