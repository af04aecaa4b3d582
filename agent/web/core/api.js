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

export async function ask(method, path, { body, match, limit = TIMEOUT } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (match) headers["if-match"] = match;
  if (who?.csrf && method !== "GET") headers["x-csrf-token"] = who.csrf;
  for (let again = 0; ; again += 1) {
    const answer = await fetch(path.startsWith("/") ? path : `${V1}/${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(limit),
      credentials: "same-origin",
      cache: "no-store",
    });
    const told = await answer.json().catch(() => ({}));
    if (answer.ok) return told;
    if (answer.status === 429 && again < 3 && method === "GET") {
      await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("retry-after") || 1)));
      continue;
    }
    // A command that was refused has a response in place of an error.
    const error = new Refused(answer.status, told.error);
    error.response = told.status ? told : null;
    if (answer.status === 401 && !error.response && path !== "session") signedOut.dispatchEvent(new Event("signed-out"));
    throw error;
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

let document_ = null;

// Whether the gateway serves a path of its API: a part that it does not have is not shown.
export async function served(path) {
  document_ ??= ask("GET", "/openapi.json", { limit: 20000 }).catch(() => {
    document_ = null;
    return { paths: {} };
  });
  return path in (await document_).paths;
}
