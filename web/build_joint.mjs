// Builds what benches and tests of steps in several threads load into a page: the SDK's part that takes
// them, the training thread, and the modules.
//
//   node build_joint.mjs --wasm DIR --out DIR
//
// DIR of --wasm holds one folder per module as wasm-bindgen wrote it. It is served to nobody.
import { bundlePage, bundleThread, copyModules, folders } from "./tools/bundle.mjs";

const { wasm, out } = folders("build_joint.mjs");
const modules = await copyModules(wasm, out);
await bundleThread(out);
await bundlePage(out, "joint", "tools/joint.ts", modules);
