// Code that uses the types of tests/it/schemas.rs. What must not compile is marked.
import type { Data, Functions, Result, TaskEvent } from './functions';

export const handler = async (event: TaskEvent<'order-mail'>): Promise<Result<'order-mail'>> => {
  const name: 'order-mail' = event.functionName;
  const kind: 'order' | 'refund' | 3 | null | undefined = event.data.kind;
  const parts: string[] = (event.data.items ?? []).flatMap(item => item.parts ?? []).map(part => part.name);
  const strange: number | undefined = event.data['a-b'];
  return { sent: event.data.amount > 0, about: [name, kind, parts, strange, event.id, event.tags] };
};

export const fits: Data<'order-mail'> = { to: 'ada', amount: 1, place: [1, 2, 'x'] };

// @ts-expect-error: there is no such field
export const unknownField: Data<'order-mail'> = { to: 'ada', amount: 1, amout: 1 };

// @ts-expect-error: a field is missing
export const missingField: Data<'order-mail'> = { to: 'ada' };

// @ts-expect-error: not one of the values
export const otherValue: Data<'order-mail'> = { to: 'ada', amount: 1, kind: 'gift' };

// @ts-expect-error: another type
export const otherItem: Data<'order-mail'> = { to: 'ada', amount: 1, place: ['1', 2] };

// @ts-expect-error: there is no such Function
export type Unknown = TaskEvent<'order'>;

export const wrongResult = async (event: TaskEvent<'order-mail'>): Promise<Result<'order-mail'>> => {
  // @ts-expect-error: data is always there, and `to` is a string
  const to: number = event.data.to;
  // @ts-expect-error: `sent` is a boolean
  return { sent: to };
};

export const nullable = (event: TaskEvent<'nullable'>): string =>
  // @ts-expect-error: data may be absent
  event.data.length;

export const careful = (event: TaskEvent<'nullable'>): number => event.data?.length ?? 0;

export const tree: Data<'tree'> = { value: 1, left: { value: 2, right: { value: 3 } } };

// @ts-expect-error: a leaf without a value
export const brokenTree: Data<'tree'> = { value: 1, left: { value: 2, right: {} } };

// Functions without schemas take and return anything, which has to be looked at.
export const anything: Data<'plain'> = [1, { a: null }];
export const names: (keyof Functions)[] = ['order-mail', 'order_mail', 'plain', 'nullable', 'tree'];
