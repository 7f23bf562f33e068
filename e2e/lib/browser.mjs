// Real Chromium with WebGPU, as every end-to-end test and the headless demo use it.
import { chromium } from "playwright-core";

// WebGPU on the software adapter where there is no GPU; tabs in the background keep their speed.
const FLAGS = [
  "--no-sandbox",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--enable-unsafe-webgpu",
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
  "--disable-quic",
  // No other host can be reached, by whatever part of the browser.
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];
const SOFTWARE_ADAPTER = "--use-webgpu-adapter=swiftshader";

/**
 * Launches `CHROME`; `GPU=real` in the environment takes the machine's own adapter. `netLog` names
 * a file for the browser's own log of every address that it asked for.
 */
export function launchBrowser({ headless = true, netLog } = {}) {
  const args = [...FLAGS];
  if (process.env.GPU !== "real") args.push(SOFTWARE_ADAPTER);
  if (netLog) args.push(`--log-net-log=${netLog}`);
  const executablePath = process.env.CHROME || undefined;
  return chromium.launch({ executablePath, headless, args });
}

/** Launches `CHROME` with an unpacked extension; its profile is kept in the folder `profile`, `netLog` as above. */
export function launchWithExtension(extension, profile, { netLog } = {}) {
  const args = [...FLAGS, `--disable-extensions-except=${extension}`, `--load-extension=${extension}`];
  // A driver may press the extension's button in the browser's own bar.
  args.push("--enable-unsafe-extension-debugging");
  if (netLog) args.push(`--log-net-log=${netLog}`);
  if (process.env.GPU !== "real") args.push(SOFTWARE_ADAPTER);
  const executablePath = process.env.CHROME || undefined;
  const ignoreDefaultArgs = ["--disable-extensions"];
  return chromium.launchPersistentContext(profile, { executablePath, headless: true, args, ignoreDefaultArgs });
}

/** What the page's WebGPU runs on, or why there is none. */
export function webgpuAdapter(page) {
  return page.evaluate(async () => {
    if (!navigator.gpu) return { device: "none", adapter: "this page has no navigator.gpu" };
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) return { device: "none", adapter: "no adapter was granted" };
    const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
    const name = [vendor, architecture, description].filter(Boolean).join(" ");
    // A driver that computes on the CPU need not say so: these two are known by name.
    const software = Boolean(isFallbackAdapter) || /swiftshader|llvmpipe/i.test(name);
    return { device: "webgpu", adapter: name, software };
  });
}

/** What the page's WebGL runs on. */
export function webglRenderer(page) {
  return page.evaluate(() => {
    const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
    if (!gl) return "this page has no WebGL 2";
    const unmasked = gl.getExtension("WEBGL_debug_renderer_info")?.UNMASKED_RENDERER_WEBGL;
    return gl.getParameter(unmasked ?? gl.RENDERER);
  });
}
