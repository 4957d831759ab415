// A real one would send a mail here.
exports.handler = async (task) => {
  const reader = task.data?.reader ?? "everybody";
  console.log(`a digest for ${reader}`);
  return { sentTo: reader };
};
