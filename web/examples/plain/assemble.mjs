// Puts the page and the unpacked @choir/sdk package beside each other, ready for any static host.
//
//   node assemble.mjs --package DIR --out DIR --aggregator URL [--task HEX] [--policy demo] [--engine NAME]
//
// It fills in what a person would write into index.html by hand: the aggregator's address, and
// the digest of the SDK's script from the package's integrity.json.
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    package: { type: "string" },
    out: { type: "string" },
    aggregator: { type: "string" },
    task: { type: "string", default: "" },
    policy: { type: "string", default: "default" },
    engine: { type: "string", default: "auto" },
  },
});
if (!values.package || !values.out || !values.aggregator) {
  console.error("usage: node assemble.mjs --package DIR --out DIR --aggregator URL [--task HEX] [--policy demo] [--engine NAME]");
  process.exit(2);
}
const out = resolve(values.out);
mkdirSync(out, { recursive: true });
cpSync(resolve(values.package), join(out, "choir"), { recursive: true });
for (const name of ["app.js", "style.css"]) cpSync(join(here, name), join(out, name));

const { "browser.js": browser } = JSON.parse(readFileSync(join(out, "choir/integrity.json"), "utf8"));
const aggregator = new URL(values.aggregator).origin;
let page = readFileSync(join(here, "index.html"), "utf8")
  .replace("@browser@", browser)
  .replace("@aggregator@", `${aggregator} ${aggregator.replace(/^http/, "ws")}`);
for (const name of ["task", "policy", "engine"]) page = withSetting(page, name, values[name]);
page = withSetting(page, "aggregator", aggregator);
const [, map] = /<script type="importmap">(.*?)<\/script>/s.exec(page);
page = page.replace("@import-map@", `sha256-${createHash("sha256").update(map).digest("base64")}`);
writeFileSync(join(out, "index.html"), page);

function withSetting(text, name, value) {
  if (!/^[\w.:/-]*$/.test(value)) throw new Error(`--${name} has a character that it cannot have`);
  return text.replace(new RegExp(`(<meta name="choir-${name}" content=")[^"]*`), `$1${value}`);
}
