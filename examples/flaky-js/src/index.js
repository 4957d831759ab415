class ConnectionError extends Error {
  // The name is what `errorsToRetry` in task-config.json matches.
  name = "ConnectionError";
}

// A retry carries the ids of the runs before it. `data.failures` says how many of them fail: two when it is absent,
// more than three never succeeds, for there are at most three retries.
exports.handler = async (task) => {
  const attempt = (task.retryForTaskIds?.length ?? 0) + 1;
  const failures = task.data?.failures ?? 2;
  console.log(`Attempt ${attempt}, the first ${failures} fail`);
  if (attempt <= failures) {
    throw new ConnectionError(`attempt ${attempt} lost its connection`);
  }
  return { attempt };
};
