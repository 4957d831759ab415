// exh.tasks.schedules.*: create, remove, delete, find, findAll, findAllIterator, findFirst.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused } from './support/errors.mjs';
import { ECHO, deploy } from './support/functions.mjs';
import { sdk } from './support/packages.mjs';
import { administrator, exh, logins } from './support/service.mjs';
import { ACTOR, openStage } from './support/stage.mjs';

const { rqlBuilder } = sdk;
const later = () => new Date(Date.now() + 3_600_000);

for (const [kind, login] of Object.entries(logins)) {
  describe(`schedules, logged in with ${kind}`, () => {
    const { schedules } = login(administrator).tasks;

    test('a Schedule is created, found and removed', async t => {
      const functionName = await deploy(t, ECHO);
      const startTimestamp = later();
      const given = { interval: 3600, functionName, data: { snake_case: [1], timestamp: 'text' }, priority: 2, startTimestamp };
      const created = await schedules.create(given);
      const { id, creationTimestamp, updateTimestamp, nextTimestamp, ...kept } = created;
      assert.match(id, /^[0-9a-f]{24}$/);
      for (const field of [creationTimestamp, updateTimestamp, nextTimestamp]) {
        assert.ok(field instanceof Date);
      }
      assert.equal(nextTimestamp.getTime(), startTimestamp.getTime());
      const { createdByUserId, createdByApplicationId, ...properties } = kept;
      assert.deepEqual(properties, given);

      const rql = rqlBuilder().eq('functionName', functionName).build();
      assert.deepEqual(await schedules.findFirst({ rql }), created);
      assert.deepEqual((await schedules.find({ rql })).data, [created]);

      assert.deepEqual(await schedules.remove(id), { affectedRecords: 1 });
      assert.equal(await schedules.findFirst({ rql }), undefined);
      await refused(16, () => schedules.remove(id));
      await refused(12, () => schedules.remove('no-id'));
    });

    test('pagers go back and forth, and findAll and its iterator read several pages', async t => {
      const functionName = await deploy(t, ECHO);
      const create = () => schedules.create({ functionName, interval: 60, startTimestamp: later() });
      const ids = (await Promise.all(Array.from({ length: 53 }, create))).map(({ id }) => id).sort();
      t.after(() => Promise.all(ids.map(id => schedules.delete(id))));
      const rql = rqlBuilder().eq('functionName', functionName).sort('id').build();
      const idsOf = ({ data }) => data.map(({ id }) => id);

      const first = await schedules.find({ rql: rqlBuilder(rql).limit(20).build() });
      const second = await first.next();
      const third = await second.next();
      assert.deepEqual([first, second, third].flatMap(idsOf), ids);
      assert.deepEqual(idsOf(await third.previous()), idsOf(second));
      assert.deepEqual(third.page, { total: 53, offset: 40, limit: 20 });

      assert.deepEqual(idsOf({ data: await schedules.findAll({ rql }) }), ids);
      const pages = [];
      for await (const page of schedules.findAllIterator({ rql })) {
        pages.push(page.data.length);
      }
      assert.deepEqual(pages, [50, 3]);
    });
  });
}

describe('a Schedule', () => {
  test('runs its Function once per occurrence, without drift', async t => {
    const stage = await openStage(t);
    const functionName = await deploy(t, ACTOR, { environmentVariables: stage.environmentVariables });
    const startTimestamp = new Date(Date.now() + 1000);
    const schedule = await exh.tasks.schedules.create({
      functionName, interval: 2, startTimestamp, data: { from: 'schedule' }, priority: 9,
    });
    for (const nth of [1, 2, 3]) {
      (await stage.run(nth, 30)).release();
    }
    await exh.tasks.schedules.remove(schedule.id);
    const rql = rqlBuilder().eq('functionName', functionName).sort('startTimestamp').build();
    const tasks = await exh.tasks.findAll({ rql });
    const occurrences = tasks.map(task => (task.startTimestamp.getTime() - startTimestamp.getTime()) / 2000);
    assert.deepEqual(occurrences.slice(0, 3).map(Math.round), [0, 1, 2].map(nth => occurrences[0] + nth).map(Math.round));
    assert.equal(new Set(occurrences).size, occurrences.length, 'an occurrence ran twice');
    occurrences.forEach(nth => assert.ok(Number.isInteger(nth), `drifted: ${occurrences}`));
    for (const { event } of stage.runs) {
      assert.deepEqual(event.data, { from: 'schedule' });
      assert.equal(event.priority, 9);
    }
  });

  test('moves on to its next occurrence, and does not run once it is removed', async t => {
    const stage = await openStage(t);
    const functionName = await deploy(t, ACTOR, { environmentVariables: stage.environmentVariables });
    const schedule = await exh.tasks.schedules.create({ functionName, interval: 3600 });
    (await stage.run(1)).release();
    const rql = rqlBuilder().eq('id', schedule.id).build();
    const moved = await exh.tasks.schedules.findFirst({ rql });
    assert.equal(moved.nextTimestamp.getTime() - schedule.startTimestamp.getTime(), 3_600_000);
    assert.equal(moved.startTimestamp.getTime(), schedule.startTimestamp.getTime());
    await exh.tasks.schedules.remove(schedule.id);
    assert.equal(await exh.tasks.schedules.findFirst({ rql }), undefined);
    assert.equal(stage.runs.length, 1);
  });

  test('with a start in the past does not make up for missed occurrences', async t => {
    const functionName = await deploy(t, ECHO);
    const startTimestamp = new Date(Date.now() - 90_000);
    const schedule = await exh.tasks.schedules.create({ functionName, interval: 3600, startTimestamp });
    t.after(() => exh.tasks.schedules.remove(schedule.id));
    assert.equal(schedule.nextTimestamp.getTime(), startTimestamp.getTime() + 3_600_000);
    assert.equal((await exh.tasks.find({ rql: `?eq(functionName,${functionName})` })).page.total, 0);
  });

  test('refuses invalid fields', async t => {
    const functionName = await deploy(t, ECHO);
    const { schedules } = exh.tasks;
    await refused(14, () => schedules.create({ functionName }));
    await refused(14, () => schedules.create({ interval: 60 }));
    for (const interval of [0, -1, 1.5, '60', 1e12]) {
      await refused(15, () => schedules.create({ functionName, interval }), `interval ${interval}`);
    }
    await refused(15, () => schedules.create({ functionName, interval: 60, priority: 0.5 }));
    await refused(15, () => schedules.create({ functionName, interval: 60, startTimestamp: 'soon' }));
  });
});
