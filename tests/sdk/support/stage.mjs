// A place where runs of a Function report to the test, and wait until it lets them continue.
import { createServer } from 'node:http';
import { until } from './wait.mjs';

/**
 * The code of a Function whose runs use the stage. A run reports its event, waits for the test to answer,
 * and returns the answer.
 */
export const ACTOR = `
exports.handler = async event => {
  const response = await fetch(process.env.STAGE, { method: 'POST', body: JSON.stringify(event) });
  return response.json();
};`;

/** Opens a stage until the test ends. */
export async function openStage(t) {
  const runs = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const event = JSON.parse(Buffer.concat(chunks).toString());
    runs.push({
      event,
      at: Date.now(),
      /** Lets the run return `result`. Only the first call has an effect. */
      release: (result = null) => response.writableEnded || response.end(JSON.stringify(result)),
    });
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    runs.forEach(run => run.release());
    server.closeAllConnections();
    server.close();
  });
  return {
    /** The environment that an actor needs. */
    environmentVariables: { STAGE: { value: `http://127.0.0.1:${server.address().port}` } },
    /** Every run so far, in order. */
    runs,
    /** Waits for the `nth` run (from 1). */
    run: (nth, seconds) => until(`${nth} run(s) came to the stage`, () => runs[nth - 1], seconds),
  };
}
