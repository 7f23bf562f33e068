// A static host on an address of its own: a folder as it is, with the headers of a page that is
// isolated and strict about its scripts.
import http from "node:http";
import { existsSync, readFileSync, statSync } from "node:fs";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Serves `folder` at `origin` ("http://127.0.0.1:PORT"); `scriptPolicy` goes with everything but pages. */
export async function serveSite(folder, origin, scriptPolicy) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, origin);
    const name = normalize(decodeURIComponent(pathname.endsWith("/") ? `${pathname}index.html` : pathname));
    const file = join(folder, name);
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    if (name.includes("..") || !existsSync(file) || !statSync(file).isFile()) {
      response.statusCode = 404;
      return response.end("not here\n");
    }
    // A thread keeps to the policy of its own script's answer, not to its page's.
    if (scriptPolicy && extname(file) !== ".html") response.setHeader("content-security-policy", scriptPolicy);
    response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
    return response.end(readFileSync(file));
  });
  const { port, hostname } = new URL(origin);
  await new Promise((resolve, reject) => server.once("error", reject).listen(Number(port), hostname, resolve));
  const { port: taken } = server.address();
  return {
    origin: `http://${hostname}:${taken}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
