/** What this app is configured by, in `.env` files or the environment of the build. */
interface ImportMetaEnv {
  readonly VITE_CHOIR_AGGREGATOR?: string;
  readonly VITE_CHOIR_TASK?: string;
  readonly VITE_CHOIR_POLICY?: "default" | "demo";
  readonly VITE_CHOIR_ENGINE?: import("@choir/sdk").EngineWish;
}
