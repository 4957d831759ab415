// What each peer needs: how a job is created, and how a process works on jobs. Each runs the same no-op.
import { connect } from 'node:net';

// Where the servers listen, and how many jobs run at once.
export const { TASKLANE, REDIS, POSTGRES, RESTATE, SLOTS = '64', STARTS } = process.env;
const slots = Number(SLOTS);

// The handler that every peer runs. If the pick-up is measured, its first line tells when it began.
let starts;
export const noop = data => {
  if (STARTS !== undefined) {
    starts ??= connect(STARTS);
    starts.write(`${data.id} ${performance.timeOrigin + performance.now()}\n`);
  }
};

const postgres = { connectionString: POSTGRES };

async function bullmq() {
  const { Queue, Worker, QueueEvents } = await import('bullmq');
  const { default: Redis } = await import('ioredis');
  const connection = () => new Redis(REDIS, { maxRetriesPerRequest: null });
  return { Queue, Worker, QueueEvents, connection };
}

async function redisWith(processor) {
  const { Worker, connection } = await bullmq();
  const worker = new Worker('jobs', processor, { connection: connection(), concurrency: slots });
  await worker.waitUntilReady();
}

const redis = {
  async creator() {
    const { Queue, connection } = await bullmq();
    const queue = new Queue('jobs', { connection: connection() });
    const options = { removeOnComplete: true, attempts: 3 };
    return {
      create: data => queue.add('noop', data, options),
      left: async () => {
        const { waiting, active, prioritized, delayed } = await queue.getJobCounts();
        return waiting + active + prioritized + delayed;
      },
    };
  },
};

export const peers = {
  'bullmq': { ...redis, work: () => redisWith(async job => noop(job.data)) },

  'bullmq-sandboxed': {
    ...redis,
    work: () => redisWith(new URL('sandboxed.mjs', import.meta.url)),
  },

  'graphile-worker': {
    async creator() {
      const { default: pg } = await import('pg');
      const { makeWorkerUtils } = await import('graphile-worker');
      const pool = new pg.Pool({ ...postgres, max: 17 });
      const utils = await makeWorkerUtils({ pgPool: pool });
      await utils.migrate();
      return {
        create: data => utils.addJob('noop', data, { maxAttempts: 3 }),
        left: async () => Number((await pool.query('select count(*) from graphile_worker._private_jobs')).rows[0].count),
      };
    },
    async work() {
      const { run, Logger } = await import('graphile-worker');
      const logger = new Logger(() => () => {});
      await run({ ...postgres, concurrency: slots, logger, maxPoolSize: 20, noHandleSignals: true, taskList: { noop: async data => noop(data) } });
    },
  },

  'pg-boss': {
    async creator() {
      const { default: Boss } = await import('pg-boss');
      const boss = new Boss({ ...postgres, max: 17 });
      await boss.start();
      await boss.createQueue('noop');
      return {
        create: data => boss.send('noop', data, { retryLimit: 3 }),
        left: () => boss.getQueueSize('noop', { before: 'completed' }),
      };
    },
    async work() {
      const { default: Boss } = await import('pg-boss');
      const boss = new Boss({ ...postgres, max: 20 });
      await boss.start();
      await boss.createQueue('noop');
      // Half a second is the least that it takes.
      const options = { batchSize: slots, pollingIntervalSeconds: 0.5 };
      await boss.work('noop', options, async jobs => jobs.forEach(job => noop(job.data)));
    },
  },

  'restate': {
    async creator() {
      const { Agent, request } = await import('node:http');
      const agent = new Agent({ keepAlive: true, maxSockets: 16 });
      const [ingress, admin] = RESTATE.split(',');
      const call = caller(request, agent);
      return {
        create: data => call('POST', `${ingress}/noop/run/send`, JSON.stringify(data)),
        left: async () => {
          const query = "SELECT count(1) AS n FROM sys_invocation WHERE status <> 'completed'";
          const answer = await call('POST', `${admin}/query`, JSON.stringify({ query }));
          return JSON.parse(answer).rows[0].n;
        },
      };
    },
    async work(port) {
      // Its SDK uses this of Node.js 22.
      Promise.withResolvers ??= () => {
        const held = {};
        held.promise = new Promise((resolve, reject) => Object.assign(held, { resolve, reject }));
        return held;
      };
      const restate = await import('@restatedev/restate-sdk');
      const service = restate.service({ name: 'noop', handlers: { run: async (_, data) => noop(data) } });
      await restate.serve({ services: [service], port });
    },
  },

  'tasklane': {
    async creator() {
      const { Agent, request } = await import('node:http');
      const agent = new Agent({ keepAlive: true, maxSockets: 16 });
      const call = caller(request, agent);
      const left = async status => JSON.parse(await call('GET', `${TASKLANE}/tasks/v1/?eq(status,${status})&limit(1)`)).page.total;
      return {
        create: data => call('POST', `${TASKLANE}/tasks/v1/`, JSON.stringify({ functionName: 'noop', data })),
        left: async () => (await left('new')) + (await left('inProgress')),
      };
    },
  },
};

// Makes HTTP requests on connections that stay open.
function caller(request, agent) {
  const authorization = process.env.AUTHORIZATION;
  return (method, url, body) =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', accept: 'application/json', ...(authorization && { authorization }) };
      if (body !== undefined) {
        headers['content-length'] = Buffer.byteLength(body);
      }
      const sent = request(url, { method, agent, headers }, response => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', chunk => (text += chunk));
        response.on('end', () =>
          response.statusCode < 300 ? resolve(text) : reject(new Error(`${response.statusCode}: ${text}`)),
        );
        response.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(body);
    });
}
