// Inside the frame: light or dark as Airflow's own switch says, and links that lead elsewhere in Airflow.
const showTheme = () => {
  const chosen = localStorage.getItem("theme") ?? "system";
  const dark = chosen === "dark" || (chosen === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
};
showTheme();
addEventListener("storage", showTheme); // the switch is in another document of this address
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-airflow]");
  if (!link || window.parent === window || event.ctrlKey || event.metaKey || event.button) return;
  event.preventDefault();
  const triggerWith = link.dataset.trigger ? JSON.parse(link.dataset.trigger) : null;
  window.parent.postMessage({ airflowPath: link.dataset.airflow, triggerWith }, location.origin);
});
