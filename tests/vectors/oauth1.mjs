// Records requests as the official SDK signs and sends them, for the tests of src/auth.
// npm install @extrahorizon/javascript-sdk@8.14.1 && node oauth1.mjs > oauth1.json
import http from 'node:http';
import { createOAuth1Client, rqlBuilder } from '@extrahorizon/javascript-sdk';

const keys = { consumerKey: 'consumer key/é', consumerSecret: "c&s'%", token: 'token+1', tokenSecret: 't=s é' };
const seen = [];
const server = http.createServer((request, response) => {
  request.resume();
  seen.push({ method: request.method, host: request.headers.host, target: request.url, authorization: request.headers.authorization });
  response.setHeader('content-type', 'application/json');
  response.end('{"data":[],"page":{"total":0,"offset":0,"limit":20}}');
});
await new Promise(done => server.listen(0, '127.0.0.1', done));
const host = `http://localhost:${server.address().port}`;
const client = options => createOAuth1Client({ host, ...options });
const user = client(keys);
user.raw.defaults.validateStatus = () => true;
await user.auth.authenticate({ token: keys.token, tokenSecret: keys.tokenSecret, skipTokenCheck: true });

// Queries of API Functions may contain anything.
const queries = [
  '', '?', '?a', '?a=', '?a=1&b=2', '?b=2&a=1', '?a=2&a=1', '?a=1&a=1', '?=1', '?&&a=1&', '?a=b=c', '?a+b=c+d', '?a=%2B', '?a=%20', '?A=1&a=2&B=3',
  '?é=é', '?a=%C3%A9', '?a=%FF', '?a=%zz', '?a=100%', "?a=-_.!~*'()", '?a=;:@/?', '?a=%26%3D', '?a[]=1', '?a[]=1&a[]=2', '?a[]=1&a=2', '?a=1&a[]=2', '?a[b]=1',
  '?a[b]=1&a[c]=2', '?a[b]=1&a[b]=2', '?a[b][c]=1', '?a[b][]=1&a[b][]=2', '?a[0]=x', '?a[1]=x&a[0]=y', '?a[5]=x&a[2]=y', '?a[20]=x', '?a[25]=x&a[1]=y',
  '?a[0][b]=1', '?a[b]=1&a=2', '?a=2&a[b]=1', '?a%5Bb%5D=1', '?a%5b%5d=1', '?a%255B%255D=1', '?[]=1', '?[a]=1', '?[0]=1', '?a[=1', '?a]=1', '?a[b=1', '?a[[b]]=1',
  '?a[b][c][d][e][f][g]=1', '?toString=1&a=2', '?__proto__=1&a=2', '?a[constructor]=1', '?a[__proto__]=1', '?a.b=1', '?a=1,2', '?0=a&1=b',
  `?${Array.from({ length: 20 }, (_, i) => `a=${i}`).join('&')}`, `?${Array.from({ length: 25 }, (_, i) => `a=${i}`).join('&')}`,
  `?${Array.from({ length: 25 }, (_, i) => `a[]=${i}`).join('&')}`, '?oauth_token=other&oauth_verifier=v', '?oauth_nonce=x&oauth_signature=y',
];
for (const query of queries) {
  await user.raw.get(`/tasks/v1/api/shop/items/7${query}`);
}
for (const path of ['/tasks/v1/api/shop', '/tasks/v1/api/shop/', '/tasks/v1/api/shop/a%2Fb', '/tasks/v1/api/shop/é b', '/tasks/v1/api/shop//x', "/tasks/v1/api/shop/(a)'!*"]) {
  await user.raw.get(path);
}
const b = rqlBuilder;
for (const rql of [
  b().eq('data.key', "it's (100%) é & a,b + c=d []").build(), b().in('tags', ['a b', '', ')']).sort(['-priority', '+id']).limit(10, 20).build(),
  b().or(b().gt('priority', '3').intermediate(), b().ge('creationTimestamp', new Date(0)).intermediate()).skipCount().build(),
  '?functionName=a&priority>=5&status!=new', '?eq(a,1)|eq(b,2)', '?data.items=in=(1,2)', '?eq(functionName,"quoted")', '?tags=a[0]',
]) {
  await user.tasks.find({ rql });
}
for (const method of ['post', 'put', 'delete', 'patch', 'options', 'head']) {
  await user.raw.request({ method, url: '/tasks/v1/api/shop/x?a=1&b[]=2', data: method === 'post' ? { some: 'body' } : undefined });
}
const consumerOnly = client({ consumerKey: keys.consumerKey, consumerSecret: keys.consumerSecret });
await consumerOnly.raw.get('/tasks/v1/api/shop?a=1').catch(() => undefined);
server.close();
console.log(JSON.stringify({ keys, requests: seen }, null, 1));
process.exit(0);
