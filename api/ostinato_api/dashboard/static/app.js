// What HTML cannot do by itself: times in the reader's zone, the theme, keys, messages. Everything else is htmx.
"use strict";
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const root = document.documentElement;
  const offset = Date.parse(document.body.dataset.now) - Date.now(); // distances are told by the server's clock

  // --- times: <time datetime data-form data-zone>, and [data-at] in drawings
  const FORMS = {
    full: { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    exact: { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    hour: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  };
  const formats = new Map();
  const zone = () => localStorage.getItem("zone") || "local";

  function zoneOf(own) {
    if (zone() === "local") return undefined; // the browser's
    return zone() === "UTC" ? "UTC" : own || "UTC";
  }

  function shown(at, form, own) {
    const timeZone = zoneOf(own);
    const key = form + timeZone;
    if (!formats.has(key)) {
      try {
        formats.set(key, new Intl.DateTimeFormat("en-GB", { ...FORMS[form], timeZone }));
      } catch {
        formats.set(key, new Intl.DateTimeFormat("en-GB", { ...FORMS[form], timeZone: "UTC" })); // unknown to this browser
      }
    }
    return formats.get(key).format(at);
  }

  function span(ms) {
    const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60);
    if (s < 60) return `${s} s`;
    if (m < 60) return `${m} min`;
    if (h < 24) return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
    return `${Math.floor(h / 24)} d`;
  }

  function distance(at) {
    const now = Date.now() + offset;
    if (Math.abs(at - now) < 1000) return "now";
    if (at > now) return `in ${span(at - now)}`;
    return `${span(now - at)} ago`;
  }

  function write(element) {
    const at = new Date(element.dateTime);
    const form = element.dataset.form;
    const text = form === "distance" ? distance(at) : shown(at, form, element.dataset.zone);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = at.toISOString();
  }

  function writeAll(from) {
    from.querySelectorAll("time[datetime]").forEach(write);
    from.querySelectorAll("text[data-at], tspan[data-at]").forEach((element) => {
      element.textContent = shown(new Date(element.dataset.at), element.dataset.form || "hour");
    });
    from.querySelectorAll("g[data-at] > title").forEach((title) => {
      title.dataset.text ??= title.textContent;
      title.textContent = `${shown(new Date(title.parentNode.dataset.at), "full")}: ${title.dataset.text}`;
    });
  }

  const select = $("#zone");
  select.value = zone();
  select.addEventListener("change", () => {
    localStorage.setItem("zone", select.value);
    writeAll(document);
  });
  setInterval(() => document.querySelectorAll('time[data-form="distance"]').forEach(write), 1000);
  document.body.addEventListener("htmx:load", (event) => writeAll(event.target.parentNode || event.target));
  writeAll(document);

  // --- theme: auto, light, dark
  const THEMES = ["auto", "light", "dark"];
  const GLYPHS = { auto: "◐", light: "☀", dark: "☾" };
  const button = $("#theme");

  function setTheme(name) {
    localStorage.setItem("theme", name);
    root.dataset.theme = name;
    button.textContent = GLYPHS[name];
    button.setAttribute("aria-label", `Theme: ${name}`);
  }

  setTheme(THEMES.includes(root.dataset.theme) ? root.dataset.theme : "auto");
  button.addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % 3]));

  // --- keys: / searches, n makes a new cron
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select")) return;
    const goal = { "/": $("#q"), n: $("#new") }[event.key];
    if (!goal) return;
    event.preventDefault();
    if (event.key === "n") goal.click();
    else goal.focus();
  });

  // Ctrl+Enter sends what is being written.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.closest?.("textarea")?.form?.requestSubmit();
  });

  // --- messages
  function toast(text, tone = "") {
    const message = document.createElement("div");
    message.className = `toast ${tone}`;
    message.textContent = text;
    $("#toast").append(message);
    setTimeout(() => message.remove(), tone === "bad" ? 9000 : 4000);
  }

  function reason(request) {
    try {
      return String(JSON.parse(request.responseText).detail);
    } catch {
      return `The server answered ${request.status}.`;
    }
  }

  const byPerson = (event) => !/^(sse:|load$|every )/.test(event.detail.requestConfig?.triggeringEvent?.type || "load");
  // A request that a newer one replaces is no fault: htmx would write it to the console as one.
  window.htmx.logger = (_element, name, detail) => {
    if (name === "htmx:sendAbort" || name === "htmx:afterRequest") delete detail.error;
  };
  document.body.addEventListener("htmx:responseError", (event) => {
    if (byPerson(event)) toast(`✕ ${reason(event.detail.xhr)}`, "bad");
  });
  document.body.addEventListener("htmx:sendError", (event) => {
    if (byPerson(event)) toast("✕ The server does not answer.", "bad");
  });
  document.body.addEventListener("toast", (event) => toast(event.detail.value)); // HX-Trigger: {"toast": "…"}

  // --- copy what another element says
  document.addEventListener("click", async (event) => {
    const copier = event.target.closest("[data-copy]");
    if (!copier) return;
    try {
      await navigator.clipboard.writeText($(copier.dataset.copy).textContent);
      toast("Copied.");
    } catch {
      toast("✕ The browser does not let pages copy here.", "bad");
    }
  });

  // --- live: no refresh while a pointer is down or an act is under way, else its control would be exchanged under it,
  // and its answer told to nobody. The act itself brings the next refresh.
  let pressed = false;
  document.addEventListener("pointerdown", () => (pressed = true));
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => (pressed = false));
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const live = event.detail.requestConfig.triggeringEvent?.type === "sse:changed";
    if (live && (pressed || $("[hx-post].htmx-request"))) event.detail.shouldSwap = false;
  });

  // What was scrolled in a part that is exchanged stays where it was, as htmx keeps the focus: by ids.
  let scrolled = [];
  document.body.addEventListener("htmx:beforeSwap", () => {
    scrolled = [...document.querySelectorAll("[id][tabindex]")].map((box) => [box.id, box.scrollLeft, box.scrollTop]);
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const [id, left, top] of scrolled) document.getElementById(id)?.scrollTo(left, top);
  });

  // Whatever changed before the stream was open, or while it was away, is fetched.
  document.body.addEventListener("htmx:sseOpen", () => {
    document.querySelectorAll('[hx-trigger*="sse:changed"]').forEach((part) => window.htmx.trigger(part, "sse:changed"));
  });
})();
