// HTTP API of the gateway, as this page asks it. The session is a cookie that scripts cannot read.

const V1 = "/api/v1";
const TIMEOUT = 70000; // milliseconds: a command has a timeout of its own
const RANK = { viewer: 1, operator: 2, admin: 3 };

let who = null;

export class Refused extends Error {
  constructor(status, error) {
    super(error?.message || `the gateway answered ${status}`);
    this.status = status;
    this.key = error?.key ?? "";
    this.hint = error?.hint ?? "";
    this.problems = error?.problems ?? [];
  }

  get words() {
    return this.hint ? `${this.message}; ${this.hint}` : this.message;
  }
}

export const may = (role) => who !== null && RANK[who.role] >= RANK[role];
export const me = () => who;
export const signedOut = new EventTarget();

function send(method, path, { body, match, signal, accept = "application/json" }) {
  const headers = { accept };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (match) headers["if-match"] = match;
  if (who?.csrf && method !== "GET") headers["x-csrf-token"] = who.csrf;
  return fetch(path.startsWith("/") ? path : `${V1}/${path}`, {
    method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin", cache: "no-store",
  });
}

// What was refused, as an error; who is not signed in any more is told so.
function refused(answer, told, path) {
  const error = new Refused(answer.status, told.error);
  error.response = told.status ? told : null; // a command that was refused has a response in place of an error
  if (answer.status === 401 && !error.response && path !== "session") signedOut.dispatchEvent(new Event("signed-out"));
  return error;
}

export async function ask(method, path, { body, match, limit = TIMEOUT } = {}) {
  for (let again = 0; ; again += 1) {
    const answer = await send(method, path, { body, match, signal: AbortSignal.timeout(limit) });
    const told = await answer.json().catch(() => ({}));
    if (answer.ok) return told;
    if (answer.status !== 429 || again >= 3 || method !== "GET") throw refused(answer, told, path);
    await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("retry-after") || 1)));
  }
}

// Parts of an answer as they come, until it ends or `signal` ends it.
export async function* parts(method, path, { body, signal, accept }) {
  const answer = await send(method, path, { body, signal, accept });
  if (!answer.ok) throw refused(answer, await answer.json().catch(() => ({})), path);
  const reader = answer.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

// Objects that come one a line.
export async function* lines(method, path, options) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const part of parts(method, path, { ...options, accept: "application/x-ndjson" })) {
    const pieces = (rest + decoder.decode(part, { stream: true })).split("\n");
    rest = pieces.pop();
    for (const piece of pieces) if (piece.trim()) yield JSON.parse(piece);
  }
}

export const get = (path) => ask("GET", path, { limit: 20000 });
export const at = (...parts) => parts.map(encodeURIComponent).join("/");

// Who this browser is for the gateway; null = nobody, sign in first.
export async function whoami() {
  try {
    who = await ask("GET", "session", { limit: 20000 });
  } catch (error) {
    if (error.status !== 401) throw error;
    who = null;
  }
  return who;
}

// A token, or a login code: tokens begin with gp_, JSON Web Tokens have three parts.
export async function signIn(secret) {
  const token = secret.startsWith("gp_") || secret.split(".").length === 3;
  who = await ask("POST", "session", { body: token ? { token: secret } : { code: secret } });
  return who;
}

export async function signOut() {
  try {
    await ask("DELETE", "session");
  } finally {
    who = null;
  }
}
