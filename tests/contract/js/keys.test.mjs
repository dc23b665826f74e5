// A key as the JavaScript SDK sends it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";

const client = (apiKey) =>
  new Client({ apiUrl: process.env.OSTINATO_URL, apiKey, callerOptions: { maxRetries: 0 } });

test("what is made with a key carries its name", async () => {
  const cron = await client(process.env.OSTINATO_KEY).crons.create("agent", { schedule: "0 9 * * *" });
  assert.equal(cron.user_id, "alice");
});

test("without a valid key nothing is made", async () => {
  for (const key of [null, "ost_wrong"]) {
    await assert.rejects(client(key).crons.create("agent", { schedule: "0 9 * * *" }), { status: 401 });
  }
});
