// `node --test` runs it. This folder is beside `src`, so it is not deployed.
const { test } = require("node:test");
const assert = require("node:assert/strict");
const { handler } = require("../src/index.js");

const context = { awsRequestId: "a-request" };

test("it greets the person in the data", async () => {
  assert.deepEqual(await handler({ data: { name: "Ada" } }, context), { message: "Hello, Ada!" });
});

test("without data it greets everybody", async () => {
  assert.deepEqual(await handler({}, context), { message: "Hello, world!" });
});
