// Opens files that are dropped, pasted or chosen: workflows in any format, and pictures that carry one.

import { send } from "./api.js";
import { say } from "./announce.js";
import { tell } from "./dialogs.js";
import { keepOpened, drop as dropDraft } from "./drafts.js";
import { go } from "./router.js";

const MOST = 64 * 2 ** 20;
const NO_WORKFLOW = ["no-workflow-in-picture", "not-a-picture"];

/** Give the button, the window and the clipboard their work. `takePicture` offers pictures without a workflow to a form. */
export function startOpening({ button, picker, veil, takePicture }) {
  const open = (file) => openFile(file, takePicture);
  button.addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    if (picker.files.length) open(picker.files[0]);
    picker.value = "";
  });
  let depth = 0;
  const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  const lift = () => {
    depth = 0;
    veil.hidden = true;
  };
  window.addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) {
      depth += 1;
      veil.hidden = false;
    }
  });
  window.addEventListener("dragleave", (event) => {
    if (carriesFiles(event) && (depth -= 1) <= 0) lift();
  });
  window.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  window.addEventListener("dragend", lift);
  window.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    lift();
    if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const [file] = event.clipboardData.files;
    const text = event.clipboardData.getData("text/plain").trim();
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select");
    if (file && !(typing && text)) open(file);
    else if (!typing && text.startsWith("{"))
      open(new File([text], "pasted.json", { type: "application/json" }));
  });
}

async function openFile(file, takePicture) {
  if (file.size > MOST) {
    await tell("It is too large", `${file.name} has more than 64 MiB.`);
    return;
  }
  say(`Opening ${file.name}…`);
  try {
    const response = await send("POST", "/page/sheet", {
      body: await file.arrayBuffer(),
      type: "application/octet-stream",
    });
    const sheet = await response.json();
    keepOpened(sheet);
    dropDraft("file/");
    say(`${file.name} is open.`);
    go("#/create/file");
  } catch (error) {
    const picture = file.type.startsWith("image/");
    if (picture && NO_WORKFLOW.includes(error.code) && takePicture(file)) return;
    await tell(`${file.name} cannot be opened`, error.message, []);
  }
}
