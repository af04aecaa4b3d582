// What happens, as it happens: the WebSocket, opened anew when it is lost; by asking where only HTTP gets through.

import { get } from "./api.js";

const EVENTS = ["device.data.received", "device.connected", "device.disconnected", "broker.status", "gap", "dead-letter", "settings", "settings.trial", "scan"];
const FIRST = 500; // milliseconds before the first new attempt; twice as many each time, up to LONGEST
const LONGEST = 15000;
const PING = 10000;
const SILENCE = 25000; // nothing heard for so long, and the link is lost
const POLL = 2000;
const MOST = 500; // readings of one answer

// Events "state" (detail: live, polling, lost) and "news" (detail: one event of the gateway).
export class LiveLink extends EventTarget {
  state = "";
  #socket = null;
  #timer = 0;
  #poll = 0;
  #pulse = 0;
  #heard = 0;
  #wait = FIRST;
  #on = false;
  #seen = new Set();

  start() {
    if (this.#on) return;
    this.#on = true;
    this.#pulse = setInterval(() => this.#beat(), PING);
    window.addEventListener("online", this.#soon);
    this.#open();
  }

  stop() {
    this.#on = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#poll);
    clearInterval(this.#pulse);
    window.removeEventListener("online", this.#soon);
    this.#socket?.close();
    this.#socket = null;
    this.state = "";
  }

  #soon = () => {
    if (this.#on && !this.#socket) {
      clearTimeout(this.#timer);
      this.#wait = FIRST;
      this.#open();
    }
  };

  #open() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws?events=${EVENTS.join(",")}`);
    this.#socket = socket;
    this.#heard = Date.now();
    socket.addEventListener("message", (message) => {
      if (socket !== this.#socket) return;
      this.#heard = Date.now();
      const told = JSON.parse(message.data);
      if (told.event === "hello") {
        this.#wait = FIRST;
        clearTimeout(this.#poll);
        this.#become("live");
      }
      this.#tell(told);
    });
    socket.addEventListener("close", () => {
      if (socket !== this.#socket) return;
      this.#lost();
    });
  }

  #lost() {
    this.#socket = null;
    if (!this.#on) return;
    if (this.state !== "polling") this.#become("lost");
    const wait = this.#wait * (0.5 + Math.random());
    this.#wait = Math.min(LONGEST, this.#wait * 2);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), wait);
    clearTimeout(this.#poll);
    this.#poll = setTimeout(() => this.#ask(), 400);
  }

  #beat() {
    const socket = this.#socket;
    if (!socket) return;
    if (Date.now() - this.#heard > SILENCE) {
      this.#lost();
      socket.close();
    } else if (socket.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify({ ping: Date.now() }));
    }
  }

  async #ask() {
    if (!this.#on || this.state === "live") return;
    try {
      const { readings } = await get(`readings?limit=${MOST}`);
      if (!this.#on || this.state === "live") return;
      const fresh = readings.filter((reading) => !this.#seen.has(reading.id)).reverse();
      this.#seen = new Set(readings.map((reading) => reading.id));
      this.#become("polling");
      for (const data of fresh) this.#tell({ event: EVENTS[0], data });
    } catch {
      if (this.#on && this.state !== "live") this.#become("lost");
    }
    if (this.#on && this.state !== "live") this.#poll = setTimeout(() => this.#ask(), POLL);
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }

  #tell(told) {
    this.dispatchEvent(new CustomEvent("news", { detail: told }));
  }
}
