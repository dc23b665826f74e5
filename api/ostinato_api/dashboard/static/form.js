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

  // The times of the cron's zone are the reader's own as well: they are told once.
  const same = () => document.querySelectorAll("#ahead .coming").forEach((list) => list.classList.toggle("same", list.dataset.zone === own));
  document.body.addEventListener("htmx:afterSwap", same);
  same();

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

  const save = document.querySelector("#save");
  form.addEventListener("submit", () => setTimeout(() => (save.disabled = true)));
  window.addEventListener("pageshow", () => (save.disabled = false)); // back from the next page
})();
