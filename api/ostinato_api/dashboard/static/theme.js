// Runs before the page is drawn, so that no other theme flashes up.
document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto";
