// Drives @stable-canvas/comfyui-client, by polling and by the websocket. Arguments: address, prompt file.
import { readFileSync } from "node:fs";
import { Client } from "@stable-canvas/comfyui-client";
import WebSocket from "ws";

const [address, file] = process.argv.slice(2);
const client = new Client({ api_host: address, WebSocket, fetch });
const prompt = JSON.parse(readFileSync(file, "utf8"));

async function generate(run, level) {
  prompt["1"].inputs.level = level;
  const output = await run(prompt);
  return output.images.length;
}

client.connect();
const polling = [];
for (const level of [81, 81, 82]) polling.push(await generate((graph) => client.enqueue_polling(graph, { polling_ms: 50 }), level));
const listening = [];
for (const level of [91, 91, 92]) listening.push(await generate((graph) => client.enqueue(graph), level));
const stats = await client.getSystemStats();
const definitions = await client.getNodeDefs();
console.log(JSON.stringify({ polling, listening, os: stats.system.os, nodes: Object.keys(definitions).includes("Sum") }));
client.close();
process.exit(0);
