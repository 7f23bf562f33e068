/** The package's own files: found where the page says, and refused where they were changed. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { ChoirError } from "../packages/sdk/src/errors.ts";
import { fetchChecked, movedTo } from "../packages/sdk/src/files.ts";

const BUILT = "export default 1;\n";
const integrity = `sha384-${createHash("sha384").update(BUILT).digest("base64")}`;
const served = new Map([
  ["/built.js", BUILT],
  ["/changed.js", `${BUILT};`],
]);
const server = createServer((request, response) => {
  const body = served.get(request.url ?? "");
  response.statusCode = body === undefined ? 404 : 200;
  response.end(body ?? "not here");
});
let base = "";

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const refusalOf = async (url: string): Promise<ChoirError> => {
  const thrown: unknown = await fetchChecked({ url, integrity }).then(
    () => null,
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof ChoirError, String(thrown));
  return thrown;
};

test("a file as it was built is taken", async () => {
  assert.equal(await (await fetchChecked({ url: `${base}/built.js`, integrity })).text(), BUILT);
});

test("a file that was changed is refused, and said to be changed", async () => {
  const { code, message } = await refusalOf(`${base}/changed.js`);
  assert.equal(code, "changed-file");
  assert.ok(message.includes(`${base}/changed.js`), message);
});

test("a file that is not there is told apart from one that was changed", async () => {
  const { code, message } = await refusalOf(`${base}/missing.js`);
  assert.equal(code, "missing-file");
  assert.match(message, /answered 404/);
});

test("a host that does not answer is told apart, too", async () => {
  const { code } = await refusalOf("http://127.0.0.1:9/built.js");
  assert.equal(code, "missing-file");
});

test("modules in another folder keep their digests", () => {
  const built = (name: string) => ({ url: `https://a.example/sdk/${name}`, integrity: `sha384-${name}` });
  const table = { cpu: { script: built("module.js"), wasm: built("module.wasm") } };
  assert.deepEqual(movedTo(table, new URL("https://b.example/files/")), {
    cpu: {
      script: { url: "https://b.example/files/cpu/module.js", integrity: "sha384-module.js" },
      wasm: { url: "https://b.example/files/cpu/module.wasm", integrity: "sha384-module.wasm" },
    },
  });
});
