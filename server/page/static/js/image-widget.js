// A picture as input: one that is there, or one that is chosen or dropped here and uploaded.

import { send } from "./api.js";
import { say } from "./announce.js";
import { el } from "./dom.js";

const ACCEPTED = "image/png,image/jpeg,image/webp,image/gif,image/bmp,image/tiff";

/** A choice of pictures, with an upload. */
export function imageWidget(field, id) {
  const select = el("select", { id });
  const preview = el("img", { class: "thumb", alt: "", hidden: true });
  const status = el("p", { class: "hint", role: "status" });
  const picker = el("input", {
    type: "file",
    hidden: true,
    accept: ACCEPTED,
    "aria-label": `${field.title}: choose a file`,
  });
  const button = el("button", { type: "button", onclick: () => picker.click() }, "Upload…");
  const element = el(
    "div",
    { class: "image-field", "data-takes": "picture" },
    preview,
    el("div", { class: "stack" }, el("div", { class: "beside" }, select, button, picker), status),
  );
  let uploading = null;

  const offer = (name, label = name) => {
    if (![...select.options].some((option) => option.value === name))
      select.prepend(el("option", { value: name }, label));
    select.value = name;
    show();
  };
  const show = (url = null) => {
    const name = select.value;
    preview.hidden = !name;
    if (name) preview.src = url || inputUrl(name);
  };
  const take = (file) => {
    status.textContent = `Uploading ${file.name}…`;
    uploading = upload(file).then(
      (stored) => {
        offer(stored.id, stored.name || file.name);
        status.textContent = `${file.name}, ${stored.width} × ${stored.height}`;
        say(`${file.name} is uploaded.`);
        element.dispatchEvent(new Event("input", { bubbles: true }));
      },
      (error) => {
        status.textContent = error.message;
        status.classList.add("error");
      },
    );
    status.classList.remove("error");
    return uploading;
  };

  for (const name of field.choices || []) select.append(el("option", { value: name }, name || "(none)"));
  if (field.value)
    offer(
      field.value,
      (field.choices || []).includes(field.value) ? field.value : `${field.value} (not here)`,
    );
  else select.prepend(el("option", { value: "", selected: true }, "Choose or upload one…"));
  select.addEventListener("change", () => show());
  preview.addEventListener("error", () => {
    preview.hidden = true;
  });
  picker.addEventListener("change", () => {
    if (picker.files.length) take(picker.files[0]);
    picker.value = "";
  });
  element.addEventListener("drop", (event) => {
    const file = event.dataTransfer.files[0];
    if (!file || !file.type.startsWith("image/")) return;
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("over");
    window.dispatchEvent(new Event("dragend"));
    take(file);
  });
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  return {
    element,
    control: select,
    take,
    json: () => (select.value === "" && !field.value ? JSON.stringify("") : JSON.stringify(select.value)),
    fault: () =>
      select.value === "" && !(field.choices || []).includes("") ? "Choose a picture, or upload one." : null,
    state: () => select.value,
    restore: (state) => {
      if (state) offer(state);
    },
    settled: () => uploading,
  };
}

function inputUrl(name) {
  return `/view?type=input&filename=${encodeURIComponent(name)}`;
}

async function upload(file) {
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  const path = `/api/v1/files?name=${encodeURIComponent(file.name)}`;
  return (await send("POST", path, { body: file, type })).json();
}
