// The SDK's methods for this service, by name. A method that a later version adds needs a test in this suite.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exh } from './support/service.mjs';

const COVERED = [
  'api.delete', 'api.get', 'api.patch', 'api.post', 'api.put',
  'apiRequests.find', 'apiRequests.findAll', 'apiRequests.findAllIterator', 'apiRequests.findFirst',
  'apiRequests.logs.find', 'apiRequests.logs.findFirst',
  'cancel', 'create', 'find', 'findAll', 'findAllIterator', 'findById', 'findFirst',
  'functions.create', 'functions.disable', 'functions.enable', 'functions.execute', 'functions.find', 'functions.getByName',
  'functions.remove', 'functions.update',
  'logs.find', 'logs.findFirst',
  'schedules.create', 'schedules.delete', 'schedules.find', 'schedules.findAll', 'schedules.findAllIterator',
  'schedules.findFirst', 'schedules.remove',
];

function methods(part, path = []) {
  return Object.entries(part).flatMap(([name, value]) => (
    typeof value === 'function' ? [[...path, name].join('.')] : methods(value, [...path, name])
  ));
}

test('this suite calls every method of exh.tasks', () => {
  assert.deepEqual(methods(exh.tasks).sort(), COVERED);
});
