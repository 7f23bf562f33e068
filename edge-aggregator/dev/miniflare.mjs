// The worker's bindings for Miniflare: one place for the development server and the tests.
import { readdirSync } from "node:fs";
import { join } from "node:path";

export const COMPATIBILITY_DATE = "2026-04-01";

// Every module of the built worker: ES modules as they are, the wasm as a compiled module.
export function workerModules(folder) {
  const files = readdirSync(folder, { recursive: true }).filter((file) => /\.(m?js|wasm)$/.test(file));
  const shim = files.indexOf("shim.mjs");
  if (shim < 0) throw new Error(`${folder} has no shim.mjs: the worker is not built`);
  files.unshift(...files.splice(shim, 1));
  return files.map((file) => ({
    type: file.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
    path: join(folder, file),
  }));
}

// `persist` and `site` may be left out: then nothing is kept, or no page is served.
// `helper` has what a leader and a helper share, and what makes a deployment a helper: HELPER_TOKEN, HELPER_SECRET_KEY,
// HELPER_MIN_BATCH.
export function options({ worker, modules, persist, site, operatorSecret, metricsToken, helper, allowedOrigins = "", port, host }) {
  return {
    modulesRoot: worker,
    modules: modules ?? workerModules(worker),
    compatibilityDate: COMPATIBILITY_DATE,
    cf: false,
    telemetry: { enabled: false },
    host: host ?? "127.0.0.1",
    ...(port === undefined ? {} : { port }),
    bindings: {
      OPERATOR_SECRET: operatorSecret,
      ALLOWED_ORIGINS: allowedOrigins,
      ...(metricsToken && { METRICS_TOKEN: metricsToken }),
      ...helper,
    },
    durableObjects: {
      TASKS: { className: "TaskObject", useSQLite: true },
      ROUNDS: { className: "RoundObject", useSQLite: true },
      LANES: { className: "LaneObject", useSQLite: true },
      REPORTS: { className: "ReportObject", useSQLite: true },
      HELPERS: { className: "HelperObject", useSQLite: true },
    },
    r2Buckets: ["OBJECTS"],
    ...(persist && {
      durableObjectsPersist: join(persist, "objects"),
      r2Persist: join(persist, "bucket"),
    }),
    ...(site && {
      assets: {
        directory: site,
        binding: "ASSETS",
        routerConfig: { has_user_worker: true },
        assetConfig: {},
      },
    }),
  };
}
