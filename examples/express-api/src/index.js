const express = require("express");
const serverless = require("serverless-http");

const app = express();
app.use(express.json());
app.use(express.raw({ type: "application/octet-stream", limit: "4mb" }));

const notes = new Map([["1", { id: "1", text: "Read the README" }]]);

app.get("/notes", (request, response) => {
  const { contains = "" } = request.query;
  response.json([...notes.values()].filter((note) => note.text.includes(contains)));
});

app.post("/notes", (request, response) => {
  if (typeof request.body?.text !== "string") {
    return response.status(400).json({ message: "text is missing" });
  }
  const note = { id: String(notes.size + 1), text: request.body.text };
  notes.set(note.id, note);
  return response.status(201).location(`/notes/${note.id}`).json(note);
});

app.get("/notes/:id", (request, response) => {
  const note = notes.get(request.params.id);
  return note ? response.json(note) : response.status(404).json({ message: "no such note" });
});

// Who calls is in two headers that only the service can set.
app.get("/me", (request, response) => {
  response.json({ userId: request.get("x-exh-requesting-user-id") ?? null });
});

// Bytes come in and go out unchanged.
app.post("/reverse", (request, response) => {
  response.type("application/octet-stream").send(Buffer.from(request.body).reverse());
});

const serve = serverless(app, { binary: ["application/octet-stream"] });

exports.handler = (event, context) => serve({ ...event, body: event.body ?? "" }, context);
