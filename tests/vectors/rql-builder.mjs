// Records the output of the official SDK's rqlBuilder for awkward values, for the tests of src/rql.
// npm install @extrahorizon/javascript-sdk@8.14.1 && node rql-builder.mjs > rql-builder.json
import { rqlBuilder } from '@extrahorizon/javascript-sdk';

const values = [
  '', ' ', 'plain', 'two words', ' lead and trail ', "it's", "'quoted'", '"quoted"', '(a)', ')', '((', 'a)b', '%', '100%', '%20',
  '%2520', '%zz', 'é', 'ß€😀', '&', 'a&b', '|', ',', 'a,b', '+', 'a+b', '-', '-_.!~*\'()', '=', 'a==b', '<', '>=', '!', '?', '#', '/a/b',
  '\\', '\n', '\t', ':', 'string:5', 'number:5', 're:.*', '*', '$1', 'a.b', '@', '[0]', '{"a":1}', '007', '1e3', '5.0', '+5', 'Infinity',
  'undefined', 'NaN', 'True', 'x'.repeat(300),
];
const typed = [
  ['5', 5], ['-5', -5], ['0', 0], ['1.5', 1.5], ['-0.25', -0.25], ['9007199254740991', 9007199254740991],
  ['true', true], ['false', false], ['null', null],
];
const date = new Date('2026-11-24T03:11:13.000Z');
const b = rqlBuilder;
const cases = {
  eq: values.map(value => ({ value, query: b().eq('data.key', value).build() })),
  ne: values.map(value => ({ value, query: b().ne('data.key', value).build() })),
  like: values.map(value => ({ value, query: b().like('data.key', value).build() })),
  in: values.map(value => ({ value, query: b().in('data.key', ['other', value]).build() })),
  out: values.map(value => ({ value, query: b().out('data.key', ['other', value]).build() })),
  tags: [...values, ...typed.map(([text]) => text)].map(value => ({ value, query: b().eq('tags', value).build() })),
  typed: typed.map(([text, value]) => ({ value, query: b().eq('data.key', text).build() })),
  moments: [
    b().eq('creationTimestamp', date).build(),
    b().eq('creationTimestamp', date.toISOString()).build(),
    b().eq('creationTimestamp', '2026-11-24T04:11:13+01:00').build(),
    b().eq('creationTimestamp', date.toUTCString()).build(),
    b().eq('creationTimestamp', date.getTime()).build(),
    b().in('creationTimestamp', [date]).build(),
  ],
  composed: {
    or: b().or(b().eq('functionName', 'a').intermediate(), b().gt('priority', '3').intermediate()).build(),
    intermediateOfTwo: b().or(b().eq('functionName', 'a').eq('status', 'new').intermediate(), b().eq('status', 'failed').intermediate()).build(),
    containsTwo: b().contains('data.items', b().gt('n', '1').intermediate(), b().lt('n', '3').intermediate()).build(),
    excludes: b().excludes('data.items', b().eq('n', '1').intermediate()).build(),
    containsPresence: b().contains('data.items').build(),
    containsValue: b().contains('tags', 'vip').build(),
    emptyIn: b().in('id', []).build(),
    everything: b().select(['id', 'data.key']).sort(['-priority', '+id']).limit(10, 20).skipCount().build(),
    replacedLimit: b(b().eq('functionName', 'a').limit(5).eq('status', 'new').build()).limit(50, 50).build(),
    empty: b().build(),
    unencoded: b({ doubleEncodeValues: false }).eq('functionName', 'a-b_c').ge('creationTimestamp', '2026-01-31T08:15:30.123Z').build(),
  },
};
console.log(JSON.stringify(cases, null, 1));
