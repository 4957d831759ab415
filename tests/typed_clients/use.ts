// What openapi-typescript makes of docs/openapi.json must describe what people write. Only its types are checked.
import type { components, paths } from './api.js';

type Body<P extends keyof paths, M extends keyof paths[P]> =
  paths[P][M] extends { requestBody: { content: { 'application/json': infer B } } } ? B : never;
type Answer<P extends keyof paths, M extends keyof paths[P]> =
  paths[P][M] extends { responses: { 200: { content: { 'application/json': infer A } } } } ? A : never;

const creation: Body<'/tasks/v1', 'post'> = {
  functionName: 'invoices',
  data: { number: 1 },
  priority: 5,
  onComplete: { functionName: 'mail' },
  timeouts: { queued: 60 },
};
// @ts-expect-error a Task needs its Function
const incomplete: Body<'/tasks/v1', 'post'> = { priority: 5 };

const statuses: Record<components['schemas']['Task']['status'], string> = {
  new: '', inProgress: '', complete: '', failed: '', retried: '', canceled: '',
};

export function latest(page: Answer<'/tasks/v1', 'get'>): string | undefined {
  return page.data.find(task => task.status === 'failed')?.error?.name;
}

// The details belong to the reason.
export function ahead(why: Answer<'/tasklane/v1/tasks/{taskId}/why', 'get'>): number | undefined {
  return why.reason === 'flowKey' ? why.details.ahead : undefined;
}

export const current = (page: Answer<'/tasklane/v1/functions/{functionName}/versions', 'get'>) =>
  page.data.find(version => version.current)?.number.toFixed();

export default { creation, incomplete, statuses };
