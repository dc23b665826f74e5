// What the form cannot do by HTML and htmx: chips, the reader's zone, one press of the button.
"use strict";
(() => {
  const form = document.querySelector("#form");
  const schedule = document.querySelector("#schedule");
  const timezone = document.querySelector("#timezone");
  const presets = document.querySelector("#presets");
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const changed = (field) => field.dispatchEvent(new Event("input", { bubbles: true }));

  function press() {
    for (const chip of presets.children) chip.setAttribute("aria-pressed", String(chip.dataset.schedule === schedule.value.trim()));
  }

  presets.hidden = false;
  presets.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-schedule]");
    if (!chip) return;
    schedule.value = chip.dataset.schedule;
    changed(schedule);
  });
  schedule.addEventListener("input", press);
  press();

  // Each time is told in the cron's zone, and in the one chosen at the top when that is another.
  const zone = document.querySelector("#zone");
  function tell() {
    document.querySelectorAll("#ahead .coming").forEach((list) => {
      const chosen = { local: own, UTC: "UTC", own: list.dataset.zone }[zone.value];
      list.classList.toggle("same", list.dataset.zone === chosen);
      list.querySelectorAll(".whose").forEach((word) => (word.textContent = zone.value === "UTC" ? "UTC" : "for you"));
    });
  }
  document.body.addEventListener("htmx:afterSwap", tell);
  zone.addEventListener("change", tell);
  tell();

  // "Copy" copies the language that is shown.
  document.querySelector("#ahead").addEventListener("change", (event) => {
    if (event.target.name === "language") document.querySelector("#copy").dataset.copy = `#code-${event.target.value}`;
  });

  document.body.addEventListener("htmx:load", () => {
    if ("propose" in timezone.dataset && !timezone.value && own && [...timezone.list.options].some((zone) => zone.value === own)) {
      delete timezone.dataset.propose;
      timezone.value = own;
      changed(timezone);
    }
  });

  document.addEventListener("click", (event) => {
    const filler = event.target.closest("[data-fill]");
    if (!filler) return;
    const input = document.querySelector("#input");
    input.focus();
    input.select();
    document.execCommand("insertText", false, filler.dataset.fill); // so that Undo brings back what stood there
  });

  // What was wrong in a field is not said any longer once the field is being changed.
  form.addEventListener("input", (event) => {
    event.target.removeAttribute("aria-invalid");
    document.getElementById(`${event.target.name}-error`)?.remove();
  });

  const save = document.querySelector("#save");
  form.addEventListener("submit", () => setTimeout(() => (save.disabled = true)));
  window.addEventListener("pageshow", () => (save.disabled = false)); // back from the next page
})();
