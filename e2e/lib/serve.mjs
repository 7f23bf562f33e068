// A static server for benches: isolated like the demo's page, nothing cached.
import http from "node:http";
import { existsSync, readFileSync, statSync } from "node:fs";
import { extname, join, normalize } from "node:path";

const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

/** Serves folders by the first part of the path: `{ wasm: "/path", bench: "/path" }`. */
export async function serveFolders(folders) {
  const server = http.createServer((request, response) => {
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    response.setHeader("cache-control", "no-store");
    const [, first, ...rest] = normalize(decodeURIComponent(request.url.split("?")[0])).split("/");
    if (first === "") {
      response.setHeader("content-type", "text/html");
      return response.end("<!doctype html><title>bench</title>");
    }
    const file = folders[first] && join(folders[first], ...rest);
    if (!file || !existsSync(file) || !statSync(file).isFile()) {
      response.statusCode = 404;
      return response.end();
    }
    response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
    return response.end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}
