// Dialogs. The browser keeps the focus inside, closes them with Escape and returns the focus.

import { askTokenWith, openSession } from "./api.js";
import { el, uniqueId } from "./dom.js";

/** Ask for a yes; resolves to true or false. */
export function confirm(title, text, yes) {
  return open(title, [el("p", {}, text)], yes, () => true, false);
}

/** Ask for a line of text that `check` accepts (it returns a sentence if not); resolves to it, or null. */
export function askLine(title, label, value, yes, check) {
  const input = el("input", { type: "text", value, required: true, autocomplete: "off", maxlength: 100 });
  const complaint = el("p", { class: "error", id: uniqueId("complaint"), hidden: true });
  input.setAttribute("aria-describedby", complaint.id);
  const field = el("label", { class: "field" }, el("span", {}, label), input);
  return open(
    title,
    [field, complaint],
    yes,
    () => {
      const fault = check(input.value.trim());
      complaint.hidden = !fault;
      complaint.textContent = fault || "";
      if (fault) input.focus();
      return fault ? undefined : input.value.trim();
    },
    null,
  );
}

/** Show a sentence that must be seen. */
export function tell(title, text, more = []) {
  return open(title, [el("p", {}, text), ...more], "Close", () => true, true, false);
}

/** Ask for the token whenever the server wants one; several askers share one dialog. */
export function startTokens() {
  let asking = null;
  askTokenWith(() => {
    asking =
      asking ||
      askToken().finally(() => {
        asking = null;
      });
    return asking;
  });
}

function askToken() {
  const input = el("input", {
    type: "password",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
  });
  const complaint = el("p", { class: "error", id: uniqueId("complaint"), hidden: true, role: "alert" });
  input.setAttribute("aria-describedby", complaint.id);
  const told =
    "This server lets in who knows its token. It showed the token when it first started. " +
    "Whoever runs it finds it in the file “token” of its data folder, or knows it.";
  const field = el("label", { class: "field" }, el("span", {}, "Token"), input);
  const check = async () => {
    let known = false;
    let sentence = "This token is not the server's.";
    try {
      known = await openSession(input.value.trim());
    } catch (error) {
      sentence = error.status === undefined ? "The server does not answer." : error.message;
    }
    complaint.hidden = known;
    complaint.textContent = known ? "" : sentence;
    if (!known) input.select();
    return known || undefined;
  };
  return open("Sign in", [el("p", {}, told), field, complaint], "Sign in", check, undefined, false);
}

function open(title, content, yes, accept, refused, dismissable = true) {
  const heading = el("h2", { id: uniqueId("dialog") }, title);
  const close = (value) => {
    dialog.returnValue = "";
    answer = value;
    dialog.close();
  };
  let answer = refused;
  const submit = async (event) => {
    event.preventDefault();
    const value = await accept();
    if (value !== undefined) close(value);
  };
  const dialog = el(
    "dialog",
    { "aria-labelledby": heading.id },
    el(
      "form",
      { method: "dialog", onsubmit: submit },
      heading,
      content,
      el(
        "div",
        { class: "actions" },
        dismissable && el("button", { type: "button", onclick: () => close(refused) }, "Cancel"),
        el("button", { type: "submit", class: "primary" }, yes),
      ),
    ),
  );
  if (refused === undefined) {
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Escape") event.preventDefault();
    });
  }
  document.body.append(dialog);
  dialog.showModal();
  (dialog.querySelector("input") || dialog.querySelector("button.primary")).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      if (refused === undefined && answer === undefined) return dialog.showModal();
      dialog.remove();
      return resolve(answer);
    });
  });
}
