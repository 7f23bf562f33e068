// Development server: the built worker on workerd, by Miniflare.
//
//   OPERATOR_SECRET=... node dev/serve.mjs --port 8787 --persist DIR --site DIR --worker DIR
//
// METRICS_TOKEN in the environment may read /metrics, as in a deployment. HELPER_TOKEN makes it a leader of tasks with
// two aggregators, HELPER_SECRET_KEY and HELPER_MIN_BATCH beside it the helper of another.
// Prints one line of JSON, {"ready": url}, when it answers. On SIGTERM or SIGINT Miniflare's own hook
// ends workerd and then this process (128 + the signal's number); what was acknowledged is on disk.
import { parseArgs } from "node:util";
import { Log, LogLevel, Miniflare } from "miniflare";
import { options } from "./miniflare.mjs";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8787" },
    host: { type: "string", default: "127.0.0.1" },
    persist: { type: "string" },
    site: { type: "string" },
    worker: { type: "string" },
    "allowed-origins": { type: "string", default: "" },
  },
});
const operatorSecret = process.env.OPERATOR_SECRET;
if (!values.worker || !operatorSecret) {
  console.error("usage: OPERATOR_SECRET=... serve.mjs --worker DIR [--port P] [--persist DIR] [--site DIR]");
  process.exit(2);
}

const HELPER = ["HELPER_TOKEN", "HELPER_SECRET_KEY", "HELPER_MIN_BATCH"];
const helper = Object.fromEntries(HELPER.filter((name) => process.env[name]).map((name) => [name, process.env[name]]));

// stdout carries the one ready line, so everything else goes to stderr.
class StderrLog extends Log {
  log(message) {
    process.stderr.write(`${message}\n`);
  }
}

const miniflare = new Miniflare({
  ...options({
    worker: values.worker,
    persist: values.persist,
    site: values.site,
    operatorSecret,
    metricsToken: process.env.METRICS_TOKEN,
    helper,
    allowedOrigins: values["allowed-origins"],
    port: Number(values.port),
    host: values.host,
  }),
  log: new StderrLog(LogLevel.WARN),
  handleRuntimeStdio(stdout, stderr) {
    stdout.pipe(process.stderr);
    stderr.pipe(process.stderr);
  },
});

const url = await miniflare.ready;
console.log(JSON.stringify({ ready: url.href }));
