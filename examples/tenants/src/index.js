exports.handler = async ({ data }) => {
  console.log(`converting ${data.file} of ${data.tenant}`);
  await new Promise(done => setTimeout(done, 300));
  return { converted: data.file };
};
