// The component that Airflow's UI shows for the entry in the navigation and for the tab of a DAG.
// It needs no build step: React and the router are those of the UI (Airflow: "React apps" of plugins).
globalThis.AirflowPlugin = function BatchServing({ dagId }) {
  const { createElement, useEffect, useRef } = globalThis.React;
  const navigate = globalThis.ReactRouterDOM.useNavigate();
  const frame = useRef(null);

  useEffect(() => {
    // A link of the page that leads elsewhere in Airflow: without loading the whole UI again.
    const follow = (event) => {
      if (event.origin !== location.origin || event.source !== frame.current?.contentWindow) return;
      const { airflowPath, triggerWith } = event.data ?? {};
      if (typeof airflowPath !== "string" || !airflowPath.startsWith("/")) return;
      Promise.resolve(navigate(airflowPath)).then(() => triggerWith && fillTriggerForm(triggerWith));
    };
    globalThis.addEventListener("message", follow);
    return () => globalThis.removeEventListener("message", follow);
  }, [navigate]);

  const base = new URL("batch-serving/", document.baseURI);
  const source = dagId ? new URL(`dags/${encodeURIComponent(dagId)}`, base) : base;
  return createElement("iframe", {
    ref: frame,
    src: source.href,
    title: "Batch Serving",
    style: { border: "none", display: "block", width: "100%", height: "100%", minHeight: "75vh" },
  });
};

// Airflow has no address for a filled-in trigger form: open the form of the DAG's page, and fill it in as a user does.
async function fillTriggerForm(fields) {
  const appears = async (selector) => {
    for (let tries = 0; tries < 100; tries += 1) {
      const found = document.querySelector(selector);
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return null;
  };
  (await appears('[data-testid="trigger-dag-button"]'))?.click();
  for (const [name, value] of Object.entries(fields)) {
    const input = await appears(`[name="element_${CSS.escape(name)}"], #element_${CSS.escape(name)}`);
    if (!input) continue;
    if (input.type === "checkbox") {
      if (input.checked !== value) input.click();
      continue;
    }
    const setter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), "value").set;
    setter.call(input, value);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
