// A small parser of Prometheus' text exposition format 0.0.4, strict about what it allows.
const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
const TYPES = ["counter", "gauge", "histogram", "summary", "untyped"];
const SUFFIXES = ["_bucket", "_sum", "_count"];

/** `[{ name, type, labels, value }]`; throws where the page breaks the format. */
export function parse(page) {
  if (!page.endsWith("\n")) throw new Error("the last line has no end");
  const types = new Map();
  const samples = [];
  const seen = new Set();
  for (const line of page.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment) {
      const [, kind, name, rest] = comment;
      if (!NAME.test(name)) throw new Error(`bad name: ${line}`);
      if (kind === "HELP") continue;
      if (!TYPES.includes(rest)) throw new Error(`bad type: ${line}`);
      if (types.has(name)) throw new Error(`a second type: ${line}`);
      types.set(name, rest);
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (!sample) throw new Error(`no sample: ${line}`);
    const [, name, inside = "", value] = sample;
    const suffix = SUFFIXES.find((one) => name.endsWith(one) && types.get(name.slice(0, -one.length)) === "histogram");
    const family = suffix ? name.slice(0, -suffix.length) : name;
    if ([...types.keys()].at(-1) !== family) throw new Error(`not under its type: ${line}`);
    if (Number.isNaN(Number(value))) throw new Error(`no number: ${line}`);
    const labels = labelsOf(inside, line);
    const identity = `${name}${JSON.stringify(Object.entries(labels).sort())}`;
    if (seen.has(identity)) throw new Error(`twice: ${line}`);
    seen.add(identity);
    samples.push({ name, type: types.get(family), labels, value: Number(value) });
  }
  return samples;
}

function labelsOf(text, line) {
  const labels = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const label = LABEL.exec(text);
    if (!label) throw new Error(`bad labels: ${line}`);
    labels[label[1]] = label[2].replaceAll(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
  }
  return labels;
}
