// The Task that has ended is in data.task, and what the creator wanted to say about it in data.context.
exports.handler = async ({ data }) => {
  const { status, error } = data.task;
  console.log(`to ${data.context.to}: your order is ${status === "complete" ? "paid" : `not paid: ${error.message}`}`);
};
