// The event is the Task; what its creator gave is in `data`.
exports.handler = async (task, context) => {
  const name = task.data?.name ?? "world";
  console.log(`Saying hello to ${name}, request ${context.awsRequestId}`);
  return { message: `Hello, ${name}!` };
};
