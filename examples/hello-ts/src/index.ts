/** The event: a Task, with what its creator gave in `data`. */
interface Task<Data> {
  id: string;
  functionName: string;
  data?: Data;
  tags: string[];
  /** The Tasks that this one retries, the first one first. */
  retryForTaskIds?: string[];
}

interface Context {
  awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

interface Greeting {
  message: string;
}

export async function handler(task: Task<{ name?: string }>, context: Context): Promise<Greeting> {
  const name = task.data?.name ?? "world";
  console.log(`Saying hello to ${name}, request ${context.awsRequestId}`);
  return { message: `Hello, ${name}!` };
}
