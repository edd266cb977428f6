// Drives @saintno/comfyui-sdk against a server. Arguments: address, prompt file, how many prompts.
import { readFileSync } from "node:fs";
import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";

const [address, file, count] = process.argv.slice(2);
const api = new ComfyApi(`http://${address}`).init();
await api.waitForReady();
const prompt = JSON.parse(readFileSync(file, "utf8"));

function generate(level) {
  const builder = new PromptBuilder(prompt, ["level"], ["images"])
    .setInputNode("level", "1.inputs.level")
    .setOutputNode("images", "2")
    .input("level", level);
  return new Promise((resolve, reject) => {
    const seen = [];
    new CallWrapper(api, builder)
      .onStart(() => seen.push("start"))
      .onPreview(() => seen.push("preview"))
      .onFinished((data) => resolve({ seen, images: data.images?.images?.length, url: api.getPathImage(data.images.images[0]) }))
      .onFailed((error) => reject(error))
      .run();
  });
}

const results = [];
for (let place = 0; place < Number(count); place++) {
  results.push(await generate(71 + Math.floor(place / 2)));
}
const failing = new PromptBuilder({ 1: { class_type: "Fail", inputs: { message: "as asked" } } }, [], ["x"]).setOutputNode("x", "1");
const failure = await new Promise((resolve) => {
  new CallWrapper(api, failing).onFailed((error) => resolve(String(error?.message ?? error))).onFinished(() => resolve("")).run();
});
const picture = await fetch(results[0].url);
console.log(JSON.stringify({ results, failure, type: picture.headers.get("content-type"), os: api.osType }));
api.destroy?.();
process.exit(0);
