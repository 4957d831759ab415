exports.handler = async ({ occurrenceTimestamp }) => {
  console.log(`the report of ${occurrenceTimestamp ?? "now"}`);
};
