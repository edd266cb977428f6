// Asks the server. Every failure becomes a Failure with a code and a sentence.

let signIn = () => Promise.reject(new Failure(401, { code: "unauthorized", message: "A token is needed." }));
const watchers = new Set();

/** What the server, or the way to it, had to object. */
class Failure extends Error {
  constructor(status, { code, message, problems = [] }) {
    super(message);
    this.status = status;
    this.code = code;
    this.problems = problems;
  }
}

/** Say how a token is asked for; the function returns a promise of having one. */
export function askTokenWith(ask) {
  signIn = ask;
}

/** Be told whether the server answers. */
export function onReach(listener) {
  watchers.add(listener);
}

/** Send a request; returns the response, whose status is a good one. Raises Failure. */
export async function send(method, path, { body = null, type = null, headers = {}, signal = null } = {}) {
  const given = { Accept: "application/json", ...headers };
  if (type) given["Content-Type"] = type;
  for (;;) {
    let response;
    try {
      response = await fetch(path, {
        method,
        body,
        headers: given,
        signal,
        credentials: "same-origin",
        redirect: "error",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      watchers.forEach((tell) => tell(false));
      throw new Failure(0, { code: "no-answer", message: "The server does not answer. Is it running?" });
    }
    watchers.forEach((tell) => tell(true));
    if (response.ok) return response;
    if (response.status === 401) {
      await signIn();
      continue;
    }
    throw await failure(response);
  }
}

/** Get JSON. */
export async function get(path, options) {
  return (await send("GET", path, options)).json();
}

/** Send JSON text, get JSON. */
async function post(path, text, headers = {}) {
  return (await send("POST", path, { body: text, type: "application/json", headers })).json();
}

/** Exchange a token for a cookie; false if the server does not know it. */
export async function openSession(token) {
  const response = await fetch("/api/v1/session", {
    method: "POST",
    body: JSON.stringify({ token }),
    headers: { "Content-Type": "application/json" },
  });
  if (response.ok) return true;
  if (response.status === 401) return false;
  throw await failure(response);
}

/** Submit a run; it is safe to send it again, as it has a key. `inputs` maps names to JSON text. */
export async function submit(workflow, inputs) {
  const given = [...inputs].map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",");
  const body = `{"workflow":${workflow},"inputs":{${given}},"previews":true}`;
  const headers = { "Idempotency-Key": randomKey() };
  try {
    return await post("/api/v1/runs", body, headers);
  } catch (error) {
    if (error.status !== 0) throw error;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return post("/api/v1/runs", body, headers);
  }
}

/** A run under way or waiting is to end. One that has ended meanwhile is no failure. */
export async function cancel(run) {
  try {
    await send("DELETE", `/api/v1/runs/${run}`);
  } catch (error) {
    if (error.status !== 409) throw error;
  }
}

async function failure(response) {
  let error = null;
  try {
    error = (await response.json()).error;
  } catch {
    // Not the server's own shape: a proxy's page, perhaps.
  }
  const plain = {
    code: `http-${response.status}`,
    message: `The server answered with status ${response.status}.`,
  };
  return new Failure(response.status, error && error.message ? error : plain);
}

function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
