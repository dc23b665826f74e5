// Webhooks as the JavaScript SDK asks for them; whether they come, the far end says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";

const client = new Client({ apiUrl: process.env.OSTINATO_URL, callerOptions: { maxRetries: 0 } });
const webhook = process.env.HOOK_URL;
const forbidden = "http://169.254.169.254/latest/meta-data";
const refused = (error) => {
  assert.equal(error.status, 422);
  assert.match(error.message, /webhook/);
  return true;
};

test("a run keeps its webhook", async () => {
  const run = await client.runs.create(null, "steps", { input: {}, webhook: `${webhook}/js-run` });
  assert.equal(run.kwargs.webhook, `${webhook}/js-run`);
});

test("a cron keeps its webhook", async () => {
  const cron = await client.crons.create("steps", { schedule: "* * * * * *", input: {}, webhook: `${webhook}/js-cron` });
  assert.equal(cron.payload.webhook, `${webhook}/js-cron`);
});

test("a far end may send the webhook elsewhere, in vain", async () => {
  await client.runs.create(null, "steps", { input: {}, webhook: `${webhook}/js-redirected` });
});

test("a webhook that may not be sent is refused", async () => {
  await assert.rejects(client.runs.create(null, "steps", { input: {}, webhook: forbidden }), refused);
  await assert.rejects(client.crons.create("steps", { schedule: "* * * * *", webhook: forbidden }), refused);
});
