// RQL as the SDK's builder writes it, and by hand where the builder cannot.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { refused, refusedRaw } from './support/errors.mjs';
import { ECHO, definition } from './support/functions.mjs';
import { sdk } from './support/packages.mjs';
import { administrator, exh, logins, request } from './support/service.mjs';

const { rqlBuilder } = sdk;

const AWKWARD = [
  'two words', ' ', 'a  b ', "single ' quote", "'quoted'", 'double " quote', '"quoted"', ')', '(', 'a)b(c', 'eq(a,b)',
  '%', '100%', '%20', '%2520', '%zz', '&', 'a&b=c', ',', 'a,b', 'é', 'e\u0301', '日本語', '🚀', '+', 'a+b', '/', 'a/b', '\\',
  ';', ':', 'string:5', 'number:5', '=', 'a==b', '!=', '<', '>', '|', '*', '?', '#', '$1', '-', '_', '.', '~', "!*'()",
  '\n', '\t', 'x'.repeat(250), '-dash', '+plus', '[a]', '{a}', 'null and void', 'truely',
];

let functionName;
let records;

before(async () => {
  const body = definition(ECHO);
  ({ name: functionName } = body);
  await exh.tasks.functions.create(body);
  // They wait for longer than this test takes.
  const startTimestamp = new Date(Date.now() + 86_400_000);
  const create = more => exh.tasks.create({ functionName, startTimestamp, ...more });
  records = {
    awkward: await Promise.all(AWKWARD.map(word => create({ data: { word }, tags: ['awkward', word] }))),
    typed: await Promise.all([5, '5', true, 'true', null, 'null', '', 0, '2026-01-31', undefined].map(
      value => create({ data: { value, kind: `${typeof value} ${value}` }, tags: ['typed'] }),
    )),
    numbered: await Promise.all([1, 2, 3, 4, 5].map(n => create({
      data: { n, nested: { deep: { n: n * 10 } }, list: [{ a: n, b: 1 }, { a: 1, b: n }], letters: ['x', `l${n}`] },
      tags: ['numbered', `t${n}`],
      priority: n,
      startTimestamp: new Date(startTimestamp.getTime() + n * 1000),
    }))),
  };
});

after(() => exh.tasks.functions.remove(functionName));

/** The Tasks of this file with this tag that match the query. */
async function find(tag, rql) {
  return exh.tasks.findAll({ rql: rqlBuilder(rql).eq('functionName', functionName).eq('tags', tag).build() });
}

const numbers = tasks => tasks.map(({ data }) => data.n);
const kinds = tasks => tasks.map(({ data }) => data.kind).sort();

for (const [kind, login] of Object.entries(logins)) {
  describe(`values of the builder, ${kind}`, () => {
    const { tasks } = login(administrator);
    for (const word of AWKWARD) {
      test(`eq, in, like and ne accept ${JSON.stringify(word).slice(0, 40)} literally`, async () => {
        const rql = change => change(rqlBuilder().eq('functionName', functionName).eq('tags', 'awkward')).limit(50).build();
        const words = async change => (await tasks.find({ rql: rql(change) })).data.map(({ data }) => data.word);
        assert.deepEqual(await words(query => query.eq('data.word', word)), [word]);
        assert.deepEqual(await words(query => query.eq('tags', word)), [word]);
        assert.deepEqual(await words(query => query.in('data.word', [word, 'no such word'])), [word]);
        assert.ok((await words(query => query.like('data.word', word))).includes(word));
        assert.ok(!(await words(query => query.ne('data.word', word))).includes(word));
        assert.ok(!(await words(query => query.out('data.word', [word]))).includes(word));
      });
    }
  });
}

describe('numbers', () => {
  test('are found by their value, in any notation', async t => {
    const tag = 'doubles';
    const values = [0.42451918914251396, 0.1, -0.5, 1e21, 1e-7, 123456789012345680000, 2 ** 53, 5];
    const created = await Promise.all(values.map(value => exh.tasks.create({
      functionName, data: { value }, tags: [tag], startTimestamp: new Date(Date.now() + 86_400_000),
    })));
    t.after(() => Promise.all(created.map(({ id }) => exh.tasks.cancel(id))));
    const found = async rql => (await find(tag, rql)).map(({ data }) => data.value).sort();
    for (const value of values) {
      assert.deepEqual(await found(rqlBuilder().eq('data.value', value).build()), [value]);
      assert.deepEqual(await found(rqlBuilder().ge('data.value', value).le('data.value', value).build()), [value]);
      assert.deepEqual(await found(rqlBuilder().in('data.value', [value, 'x']).build()), [value]);
    }
    for (const written of ['5.0', '5e0', '1e21', '1E-07', '1000000000000000000000']) {
      assert.deepEqual(await found(rqlBuilder({ rql: `eq(data.value,${written})`, doubleEncodeValues: false }).build()), [Number(written)]);
    }
  });
});

describe('types', () => {
  const casts = rql => find('typed', rqlBuilder({ rql, doubleEncodeValues: false }).build());

  test('the type of a value is guessed unless it is cast', async () => {
    const expected = {
      'eq(data.value,5)': ['number 5'],
      'eq(data.value,string:5)': ['string 5'],
      'eq(data.value,number:5)': ['number 5'],
      'eq(data.value,true)': ['boolean true'],
      'eq(data.value,boolean:true)': ['boolean true'],
      'eq(data.value,string:true)': ['string true'],
      'eq(data.value,string:null)': ['string null'],
      'eq(data.value,string:)': ['string '],
      'eq(data.value,0)': ['number 0'],
    };
    for (const [rql, found] of Object.entries(expected)) {
      assert.deepEqual(kinds(await casts(rql)), found, rql);
    }
  });

  test('the builder finds an empty string', async () => {
    assert.deepEqual(kinds(await find('typed', rqlBuilder().eq('data.value', '').build())), ['string ']);
  });

  test('a string field compares as a string, whatever the value looks like', async () => {
    const page = await exh.tasks.find({ rql: rqlBuilder().eq('functionName', '5').build() });
    assert.equal(page.page.total, 0);
  });

  test('dates compare as dates, however they are written', async () => {
    const [first] = records.numbered;
    const at = first.startTimestamp;
    assert.deepEqual(numbers(await find('numbered', rqlBuilder().eq('startTimestamp', at.toISOString()).build())), [1]);
    const epoch = `gt(startTimestamp,epoch:${at.getTime()})`;
    assert.deepEqual(numbers(await find('numbered', epoch)).sort(), [2, 3, 4, 5]);
    const offset = new Date(at.getTime() + 3_600_000).toISOString().replace('Z', '+01:00');
    assert.deepEqual(numbers(await find('numbered', rqlBuilder().eq('startTimestamp', offset).build())), [1]);
    assert.equal((await find('numbered', 'gt(startTimestamp,isodate:2999)')).length, 0);
    assert.equal((await find('numbered', 'gt(startTimestamp,isodate:2001-01)')).length, 5);
  });
});

describe('operators', () => {
  const sorted = async rql => numbers(await find('numbered', rql)).sort();

  test('eq ne gt ge lt le in out', async () => {
    assert.deepEqual(await sorted(rqlBuilder().eq('data.n', '3').build()), [3]);
    assert.deepEqual(await sorted(rqlBuilder().ne('data.n', '3').build()), [1, 2, 4, 5]);
    assert.deepEqual(await sorted(rqlBuilder().gt('data.n', '3').build()), [4, 5]);
    assert.deepEqual(await sorted(rqlBuilder().ge('data.n', '3').build()), [3, 4, 5]);
    assert.deepEqual(await sorted(rqlBuilder().lt('data.n', '3').build()), [1, 2]);
    assert.deepEqual(await sorted(rqlBuilder().le('data.n', '3').build()), [1, 2, 3]);
    assert.deepEqual(await sorted(rqlBuilder().in('data.n', ['1', '5', '9']).build()), [1, 5]);
    assert.deepEqual(await sorted(rqlBuilder().out('data.n', ['1', '5', '9']).build()), [2, 3, 4]);
  });

  test('dots reach into objects, and arrays match by element', async () => {
    assert.deepEqual(await sorted(rqlBuilder().eq('data.nested.deep.n', '20').build()), [2]);
    assert.deepEqual(await sorted(rqlBuilder().eq('tags', 't4').build()), [4]);
    assert.deepEqual(await sorted(rqlBuilder().eq('data.letters', 'l4').build()), [4]);
    assert.deepEqual(await sorted(rqlBuilder().gt('data.list.a', '3').build()), [4, 5]);
  });

  test('and, or, nested', async () => {
    const one = rqlBuilder().eq('data.n', '1').intermediate();
    const high = rqlBuilder().gt('data.n', '3').intermediate();
    const notFive = rqlBuilder().ne('data.n', '5').intermediate();
    assert.deepEqual(await sorted(rqlBuilder().or(one, high).build()), [1, 4, 5]);
    assert.deepEqual(await sorted(rqlBuilder().and(high, notFive).build()), [4]);
    assert.deepEqual(await sorted(rqlBuilder().or(one, rqlBuilder().and(high, notFive).intermediate()).build()), [1, 4]);
    assert.deepEqual(await sorted(rqlBuilder().ge('data.n', '2').le('data.n', '3').build()), [2, 3]);
  });

  test('contains and excludes test presence, or elements of an array', async () => {
    assert.deepEqual(await sorted(rqlBuilder().contains('data.nested').build()), [1, 2, 3, 4, 5]);
    assert.deepEqual(await sorted(rqlBuilder().excludes('data.nested').build()), []);
    assert.deepEqual(await sorted(rqlBuilder().excludes('data.nothing').build()), [1, 2, 3, 4, 5]);
    const element = [rqlBuilder().gt('a', '1').intermediate(), rqlBuilder().eq('b', '1').intermediate()];
    assert.deepEqual(await sorted(rqlBuilder().contains('data.list', ...element).build()), [2, 3, 4, 5]);
    const both = [rqlBuilder().gt('a', '1').intermediate(), rqlBuilder().gt('b', '1').intermediate()];
    assert.deepEqual(await sorted(rqlBuilder().contains('data.list', ...both).build()), []);
    assert.deepEqual(await sorted(rqlBuilder().excludes('data.list', ...element).build()), [1]);
  });

  test('like finds a part of a string', async () => {
    assert.deepEqual(await sorted(rqlBuilder().like('data.letters', 'l3').build()), [3]);
    const named = rqlBuilder().like('functionName', functionName.slice(3, -3)).build();
    assert.equal((await sorted(named)).length, 5);
  });

  test('sort, limit, offset', async () => {
    const page = async (field, ...limit) => {
      const rql = rqlBuilder().eq('functionName', functionName).eq('tags', 'numbered').sort(field).limit(...limit).build();
      return exh.tasks.find({ rql });
    };
    assert.deepEqual(numbers((await page('-data.n', 2)).data), [5, 4]);
    assert.deepEqual(numbers((await page('+priority', 2, 1)).data), [2, 3]);
    assert.deepEqual(numbers((await page(['-data.list.b', '+id'], 1)).data), [5]);
    const past = await page('id', 10, 100);
    assert.deepEqual([past.data, past.page], [[], { total: 5, offset: 100, limit: 10 }]);
    assert.equal((await page('id', 1000)).page.limit, 50);
    const none = await page('id', 0);
    assert.deepEqual([none.data.length, none.page.total], [0, 5]);
  });

  test('select returns only these fields, and skipCount omits the total', async () => {
    const rql = rqlBuilder().eq('functionName', functionName).eq('tags', 'numbered').select(['priority', 'data.n']);
    const { data: [first] } = await exh.tasks.find({ rql: rql.sort('priority').limit(1).build() });
    assert.equal(first.priority, 1);
    assert.deepEqual(first.data, { n: 1 });
    assert.ok(!('functionName' in first) && !('tags' in first));
    const { page, data } = await exh.tasks.find({ rql: rqlBuilder().eq('functionName', functionName).skipCount().build() });
    assert.ok(!('total' in page));
    assert.equal(data.length, 20);
  });

  test('the shorthands of FIQL', async () => {
    const base = `functionName=${functionName}&tags==numbered`;
    for (const [rql, found] of [
      ['data.n=3', [3]], ['data.n==3', [3]], ['data.n!=3', [1, 2, 4, 5]], ['data.n>3', [4, 5]], ['data.n>=3', [3, 4, 5]],
      ['data.n<3', [1, 2]], ['data.n<=3', [1, 2, 3]],
    ]) {
      const { data } = await exh.tasks.find({ rql: `?${base}&${rql}` });
      assert.deepEqual(numbers(data).sort(), found, rql);
    }
  });
});

describe('bad RQL is 19', () => {
  for (const rql of ['eq(a', 'eq(a,b))', 'nonsense(a,b)', 'eq(a)', 'limit(x)', 'limit(-1)', 'gt(priority,high)', 'sort()']) {
    test(rql, async () => {
      await refused(19, () => exh.tasks.find({ rql: `?${rql}` }));
      await refusedRaw(19, await request(`/tasks/v1/schedules?${rql.replace('priority', 'interval')}`, { as: administrator }));
    });
  }

  test('nested too deeply', async () => {
    await refused(19, () => exh.tasks.find({ rql: `?${'and('.repeat(200)}eq(id,1)${')'.repeat(200)}` }));
  });
});
