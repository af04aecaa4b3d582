// Places of the page by what stands behind `#`: one view at a time, each its own module, loaded when it is first opened.

const PLACES = [
  [/^\/?$/, () => import("../views/overview.js")],
  [/^\/board$/, () => import("../views/board.js")],
  [/^\/devices$/, () => import("../views/devices.js")],
  [/^\/add-device$/, () => import("../views/add-device.js")],
  [/^\/devices\/([^/]+)$/, () => import("../views/device.js")],
  [/^\/devices\/([^/]+)\/settings$/, () => import("../views/edit-device.js")],
  [/^\/brokers$/, () => import("../views/brokers.js")],
  [/^\/add-broker$/, () => import("../views/edit-broker.js")],
  [/^\/brokers\/([^/]+)\/settings$/, () => import("../views/edit-broker.js")],
  [/^\/log(?:\/([a-z-]+))?$/, () => import("../views/log.js")],
  [/^\/settings(?:\/([a-z-]+))?$/, () => import("../views/settings.js")],
];

const AGAIN = 2000; // milliseconds until a view that could not be loaded is tried again

export const link = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;
export const place = () => location.hash.replace(/^#/, "") || "/";

export function go(address) {
  if (location.hash === address) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = address;
}

function decoded(part) {
  try {
    return part === undefined ? undefined : decodeURIComponent(part);
  } catch {
    return part;
  }
}

export class Router {
  #open = null;
  #turn = 0;
  #again = 0;
  #shown;

  // `shown(path)` is told of each view that was opened.
  constructor(shown) {
    this.#shown = shown;
  }

  start() {
    window.addEventListener("hashchange", this.#follow);
    return this.#follow();
  }

  stop() {
    window.removeEventListener("hashchange", this.#follow);
    this.#turn += 1;
    clearTimeout(this.#again);
    this.#close();
  }

  #follow = async () => {
    const turn = (this.#turn += 1);
    clearTimeout(this.#again);
    const path = place();
    const [pattern, load] = PLACES.find(([one]) => one.test(path)) ?? PLACES[0];
    const view = await load().catch(() => null);
    if (turn !== this.#turn) return; // another place was asked for meanwhile
    if (view === null) {
      this.#again = setTimeout(this.#follow, AGAIN); // the gateway is not there
      return;
    }
    const again = this.#open !== null;
    this.#close();
    const main = document.getElementById("main");
    main.replaceChildren();
    this.#open = view.open(main, decoded((pattern.exec(path) ?? [])[1]), path) ?? {};
    this.#shown(path, again);
  };

  #close() {
    this.#open?.close?.();
    this.#open = null;
  }
}
