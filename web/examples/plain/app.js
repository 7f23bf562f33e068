// A site's own page: consent, the visitor's examples, where they stand, and the model to ask.
// "@choir/sdk" is named by the page's import map, which also holds the script to its digest.
import { asChoirError, createChoir, DEFAULT_POLICY, DEMO_POLICY, parseExamples, sentence } from "@choir/sdk";

const byId = (id) => document.getElementById(id);
const setting = (name) => document.querySelector(`meta[name="choir-${name}"]`).content;

const options = {
  aggregator: setting("aggregator"),
  engine: setting("engine"),
  policy: setting("policy") === "demo" ? DEMO_POLICY : DEFAULT_POLICY,
  ...(setting("task") && { task: setting("task") }),
};
let choir = createChoir(options);
let task = null;
let session = null;

byId("consent").addEventListener("change", () => void consented());
byId("leave").addEventListener("click", () => session?.leave());
byId("examples").addEventListener("submit", (event) => {
  event.preventDefault();
  void takePart();
});
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  void ask();
});

// Nothing is loaded before the visitor has agreed.
async function consented() {
  byId("join").disabled = !byId("consent").checked;
  if (!byId("consent").checked || task !== null) return;
  try {
    task = await choir.describe();
    if (task === null) throw new Error("the aggregator has no task yet");
    byId("labels").textContent = `Labels: ${task.labels.join(", ")}`;
    byId("state").textContent = `Task "${task.name}", version ${task.version}; a cohort has ${task.cohortSize} visitors.`;
  } catch (thrown) {
    startAnew(thrown);
  }
}

async function takePart() {
  if (task === null || session !== null) return;
  const { examples, refused } = parseExamples(byId("text").value, task.labels);
  if (examples.length === 0) {
    byId("problem").textContent = refused[0] ? `Line ${refused[0].line}: ${refused[0].reason}` : "There is no example yet.";
    return;
  }
  byId("problem").textContent = refused.length > 0 ? `${refused.length} lines were left out.` : "";
  byId("leave").disabled = false;
  try {
    session = await choir.join({ examples });
    for await (const event of session) show(event);
    startAnew(null);
  } catch (thrown) {
    startAnew(thrown);
  }
}

function show(event) {
  const text = sentence(event);
  if (text !== null) byId("state").textContent = text;
  if (event.kind === "round") byId("rounds").append(Object.assign(document.createElement("li"), { textContent: text }));
  if (event.kind === "stopped" && event.code !== null) byId("problem").textContent = event.message;
}

async function ask() {
  const answer = byId("answer");
  answer.textContent = "Asking.";
  try {
    const onEvent = (event) => (answer.textContent = sentence(event) ?? answer.textContent);
    const { labels, version } = await choir.predict(byId("question").value, { onEvent });
    const [{ label, probability }] = labels;
    answer.textContent = `${label} (${Math.round(100 * probability)} %), by version ${version}`;
  } catch (thrown) {
    answer.textContent = asChoirError(thrown).message;
  }
}

// A choir is joined once; the next attempt takes a new one.
function startAnew(thrown) {
  choir.close();
  choir = createChoir(options);
  session = null;
  byId("leave").disabled = true;
  if (thrown === null) return;
  byId("problem").textContent = asChoirError(thrown).message;
  if (task === null) byId("consent").checked = false;
}
