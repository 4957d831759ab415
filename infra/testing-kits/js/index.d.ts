/// <reference lib="esnext.disposable" />

/** How to start a service. */
export interface StartOptions {
  /** Folders to search for task-config.json files, or such files. Without any, the service has no Functions at first. */
  functions?: string | string[];
  /** The program `tasklane`. Default: the environment variable TASKLANE_BIN, or `tasklane` on the PATH. */
  binary?: string;
  /** More arguments of `tasklane dev`, such as `['--concurrency', '1']`. */
  args?: string[];
  /** More environment variables of the service, for `$NAME` values in configurations. */
  env?: Record<string, string>;
  /** What `close` does about Tasks that wait or run. Default: `fail`. */
  leftovers?: 'fail' | 'ignore';
  /** How long the start may take, in milliseconds. Default: 60,000. */
  patience?: number;
  /** Show what the service says on stderr. */
  echo?: boolean;
}

/** A Task. More properties are in the documentation of the API. */
export interface Task {
  id: string;
  functionName: string;
  status: 'new' | 'inProgress' | 'complete' | 'failed' | 'retried' | 'canceled';
  startTimestamp: string;
  creationTimestamp: string;
  data?: unknown;
  error?: { name: string; message: string };
  retriedByTaskId?: string;
  retryForTaskIds?: string[];
  [property: string]: unknown;
}

/** What became of a clock that was set forward. */
export interface Advanced {
  /** The time on the service's clock. */
  timestamp: string;
  /** How many runs have begun since the clock was set the last time, or since the start. */
  runs: number;
}

/** Whole seconds, or a text of numbers with s, m, h or d, such as `1h 30m`. */
export type Duration = number | string;

/** The service's clock. Functions and tokens stay in the real time. */
export interface Clock {
  /** Sets it forward. Whatever becomes due on the way happens at its time, and has happened once this resolves. */
  advance(duration: Duration): Promise<Advanced>;
  /** Sets it forward to this time, or up to a second later. */
  advanceTo(time: Date | string): Promise<Advanced>;
  /** The time on it, once everything that is due by then has happened. */
  now(): Promise<Date>;
}

/** The service refused a request. */
export class ServiceError extends Error {
  readonly status: number;
  readonly code?: number;
  readonly body: unknown;
}

/** Tasks were waiting or running when the service was closed. */
export class LeftoverTasksError extends Error {
  readonly tasks: Task[];
}

/** A service of its own for tests. */
export class TasklaneService {
  private constructor();
  /** Where it answers, such as http://localhost:34567. */
  readonly url: string;
  /** The administrator's credentials by the names that the official SDK's users give them: API_HOST, API_ACCESS_TOKEN, … */
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Runs what is due, until nothing is due and nothing runs. It does not set the clock forward. */
  drain(): Promise<Advanced>;
  /** Creates a Task; `options` are more fields of the request, such as `startTimestamp` or `priority`. */
  create(functionName: string, data?: unknown, options?: Record<string, unknown>): Promise<Task>;
  /** Runs a Function and returns its result. */
  execute<Result = unknown>(functionName: string, data?: unknown, options?: Record<string, unknown>): Promise<Result>;
  /** The Tasks whose fields have these values, the oldest first. */
  tasks(filter?: Record<string, string | number>): Promise<Task[]>;
  /** One Task as it is now. */
  task(id: string): Promise<Task>;
  /** What a Task logged. */
  logs(id: string): Promise<string[]>;
  /** Lets the next runs of a Function fail, without running its code. Default: one run, with a `TestFailure`. */
  fail(
    functionName: string,
    times?: number,
    error?: { name?: string; message?: string }
  ): Promise<{ functionName: string; times: number }>;
  /** Sends any request as the service's administrator. */
  request<Answer = any>(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Ends the service and removes its data. Rejects with a LeftoverTasksError if Tasks wait or run. */
  close(options?: { leftovers?: 'fail' | 'ignore' }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a service of its own for tests, and waits until its Functions are there. */
export function start(options?: StartOptions): Promise<TasklaneService>;
