// A build needs nothing of this. The development server does: it would move the SDK's script
// away from the files that lie beside it.
import { defineConfig } from "vite";

export default defineConfig({ optimizeDeps: { exclude: ["@choir/sdk"] } });
